package config

import "testing"

// A small disk keeps room for work, and the spool's sizes obey their rules on each disk.
func TestTheSpoolsSizesFitTheDisk(t *testing.T) {
	for _, free := range []Size{0, mebi, 10 * mebi, 100 * mebi, 500 * mebi, 2 * gibi, 10 * gibi,
		19 * gibi, 20 * gibi, tebi} {
		s := SpoolFor(int64(free))
		if err := below(s.Floor, s.Reserve, "spool.reserve"); err != nil || s.Ballast < mebi ||
			s.Floor < mebi {
			t.Errorf("%s: %+v, %v", free, s, err)
		}
		if free >= 10*mebi && s.Reserve+s.Ballast > 3*free/4 {
			t.Errorf("on a disk with %s free %s stay free", free, s.Reserve)
		}
		if usual := DefaultHub().Spool; (s == usual) != (free >= 20*gibi) {
			t.Errorf("%s: %+v", free, s)
		}
	}
	if s := SpoolFor(int64(2 * gibi)); s.Reserve != 512*mebi || s.Floor < 64*mebi {
		t.Errorf("of 2 GiB it keeps %s, and %s", s.Reserve, s.Floor)
	}
}
