package words

import (
	"strings"
	"testing"

	"sealpost/internal/way"
)

func TestEachFaultHasItsCommand(t *testing.T) {
	for _, c := range []struct {
		fault      way.Fault
		says, mend string
	}{
		{way.Fault{Path: "/srv/lab", Flaw: way.Foreign, Who: "ann"}, "/srv/lab belongs to the account ann", "chown -h root /srv/lab"},
		{way.Fault{Path: "/srv/it's", Flaw: way.GroupWrites, Who: "lab"}, "the group lab may write to /srv/it's", `chmod g-w '/srv/it'\''s'`},
		{way.Fault{Path: "/srv/lab", Flaw: way.ListUserWrites, Who: "ann"}, "its access list lets the account ann write to /srv/lab", "setfacl -m u:ann:r-x /srv/lab"},
		{way.Fault{Path: "/srv/lab", Flaw: way.ListGroupWrites, Who: "lab"}, "its access list lets the group lab write to /srv/lab", "setfacl -m g:lab:r-x /srv/lab"},
		{way.Fault{Path: "/srv/lab", Flaw: way.AnyoneWrites}, "every account may write to /srv/lab", "chmod o-w /srv/lab"},
	} {
		if FaultIs(c.fault) != c.says || FaultEnds(c.fault) != c.mend {
			t.Errorf("%+v: %q, %q", c.fault, FaultIs(c.fault), FaultEnds(c.fault))
		}
		if all := Replaceable("/srv/lab/state", []way.Fault{c.fault}).Error(); !strings.Contains(all, c.says) || !strings.HasSuffix(all, c.mend) {
			t.Errorf("altogether %q", all)
		}
	}
}
