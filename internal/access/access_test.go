package access

import "testing"

const ann, bob, everybody = "S-1-5-21-1-2-3-1001", "S-1-5-21-1-2-3-1002", "S-1-1-0"

func TestDescriptorIsForTheAccountAlone(t *testing.T) {
	const file = "O:" + ann + "D:P(A;;FA;;;" + ann + ")(A;;FA;;;SY)(A;;FA;;;BA)"
	if got := descriptor(ann, ""); got != file {
		t.Errorf("a file gets %s", got)
	}
	const folder = "O:" + ann + "D:P(A;OICI;FA;;;" + ann + ")(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
	if got := descriptor(ann, inherited); got != folder {
		t.Errorf("a folder gets %s", got)
	}
}

func TestStrangersInAnAccessList(t *testing.T) {
	for _, c := range []struct {
		name string
		list []entry
		want string
	}{
		{"nobody", nil, ""},
		{"ours", []entry{{sid: ann}, {sid: system}, {sid: administrators}, {sid: ownerRights}}, ""},
		{"the owner", []entry{{sid: bob}}, ""},
		{"everybody", []entry{{sid: ann}, {sid: everybody}}, everybody},
		{"somebody who is kept out", []entry{{sid: everybody, denies: true}, {sid: ann}}, ""},
		{"a kind of a later Windows", []entry{{sid: ann}, {}}, "an entry of unknown kind"},
		{"users", []entry{{sid: "S-1-5-32-545"}}, "S-1-5-32-545"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := stranger(c.list, ann, bob); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestWhoMayOwnADaemonsPipe(t *testing.T) {
	const eve = "S-1-5-21-1-2-3-1003"
	list := []entry{{sid: everybody}, {sid: bob}, {sid: eve, denies: true}, {}}
	for owner, want := range map[string]string{ann: "", bob: "", system: "", administrators: "",
		eve: eve, "S-1-5-21-1-2-3-1004": "S-1-5-21-1-2-3-1004"} {
		if got := otherOwner(owner, ann, ann, list); got != want {
			t.Errorf("%s: %q, want %q", owner, got, want)
		}
	}
	if got := otherOwner(bob, ann, ann, nil); got != bob {
		t.Errorf("without a list: %q", got)
	}
	if got := otherOwner(bob, ann, bob, nil); got != "" {
		t.Errorf("the folder's owner: %q", got)
	}
}
