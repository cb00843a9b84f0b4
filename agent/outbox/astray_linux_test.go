package outbox

import "testing"

// A watch that a link in the place of delivered has led to a closed folder tells no name.
func TestNamesOfAClosedFolderAreNotTold(t *testing.T) {
	s := newSealer(t)
	closed, name := t.TempDir(), "name of a patient.csv"
	put(t, closed, name)
	rename(t, s.at("delivered"), s.at("away"))
	link(t, closed, s.at("delivered"))
	s.tray.hearAstray("delivered", name)
	if notes := s.leftAlone(); len(notes) > 0 {
		t.Errorf("users are told %v", notes)
	}
	remove(t, s.at("delivered"))
	rename(t, s.at("away"), s.at("delivered"))
	put(t, s.at("delivered"), "her own")
	s.tray.hearAstray("delivered", "her own")
	if notes := s.leftAlone(); len(notes) != 1 {
		t.Errorf("users are told %v", notes)
	}
}
