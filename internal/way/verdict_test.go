package way

import (
	"strings"
	"testing"

	"sealpost/internal/reason"
)

func TestEachFaultHasItsCommand(t *testing.T) {
	for _, c := range []struct {
		fault    Fault
		code     reason.Code
		says, do string
	}{
		{Fault{"/srv/lab", Foreign, "ann"}, "way-foreign",
			"/srv/lab belongs to the account ann", "chown -h root /srv/lab"},
		{Fault{"/srv/it's", GroupWrites, "lab"}, "way-group",
			"the group lab may write to /srv/it's", `chmod g-w '/srv/it'\''s'`},
		{Fault{"/srv/lab", ListUserWrites, "ann"}, "way-list-user",
			"its access list lets the account ann write to /srv/lab",
			"setfacl -m u:ann:r-x /srv/lab"},
		{Fault{"/srv/lab", ListGroupWrites, "lab"}, "way-list-group",
			"its access list lets the group lab write to /srv/lab",
			"setfacl -m g:lab:r-x /srv/lab"},
		{Fault{"/srv/lab", AnyoneWrites, ""}, "way-open",
			"every account may write to /srv/lab", "chmod o-w /srv/lab"},
	} {
		v := c.fault.Verdict()
		if v.Says.Code != c.code || v.Says.String() != c.says || v.Do.String() != c.do {
			t.Errorf("%+v: %+v", c.fault, v)
		}
		all := Refuse("/srv/lab/state", []Fault{c.fault}).Error()
		if !strings.Contains(all, c.says) || !strings.HasSuffix(all, c.do) {
			t.Errorf("altogether %q", all)
		}
	}
}
