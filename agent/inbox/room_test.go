package inbox

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/beneath"
)

// Inodes count like bytes: the reserve has some of them. A message that the volume could not even
// hold if it were empty is refused, and not retried.
func TestRoom(t *testing.T) {
	b := &Inbox{cfg: Options{Reserve: 1 << 30}}
	roomy := beneath.Room{Free: 1 << 40, Size: 1 << 41, FreeFiles: 1 << 20, Files: 1 << 24}
	few, small, none := roomy, roomy, roomy
	few.FreeFiles = 16383
	small.FreeFiles, small.Files = 5000, 64_000
	none.FreeFiles, none.Files = 0, 0
	for name, c := range map[string]struct {
		room  beneath.Room
		size  int64
		full  bool
		never bool
	}{
		"roomy":                      {room: roomy, size: 1 << 39},
		"few inodes":                 {room: few, full: true},
		"few inodes of few":          {room: small},
		"inodes without a limit":     {room: none},
		"no bytes":                   {room: roomy, size: 1 << 40, full: true},
		"more bytes than the volume": {room: roomy, size: 1 << 41, full: true, never: true},
	} {
		if err := b.checkRoom(c.room, "/inbox", c.size); errors.Is(err, errFull) != c.full {
			t.Errorf("%s: %v", name, err)
		}
		err := b.checkEver(c.room, "/inbox", c.size, 0)
		if errors.Is(err, errNeverFits) != c.never || isNever(err) != c.never {
			t.Errorf("%s: %v", name, err)
		}
	}
	for entries, never := range map[int64]bool{60_000: false, 60_001: true} {
		if err := b.checkEver(small, "/inbox", 0, entries); (err != nil) != never {
			t.Errorf("%d entries: %v", entries, err)
		}
	}
}

// The room is looked at while a message with many entries is written. Without inodes the others are
// counted: the message never fits, or the delivery is retried after a delay that grows.
func TestRoomForEntries(t *testing.T) {
	for entries, never := range map[int]bool{3000: false, 5000: true} {
		root, err := beneath.Open(t.TempDir())
		check(t, err)
		defer root.Close()
		s := newSink(root, form{access: access{file: 0o600, dir: 0o700},
			hasList: func() bool { return false }})
		defer s.close()
		s.room = func(entries int64) error {
			switch {
			case entries > 4000:
				return errNeverFits
			case entries > 1500:
				return errNoInodes
			}
			return nil
		}
		check(t, s.Dir(0, "top", time.Unix(1, 0)))
		for n := range entries {
			check(t, s.Dir(0, "top/"+strconv.Itoa(10000+n), time.Unix(1, 0)))
		}
		err = s.finish()
		if _, err := root.Lstat("0/12500"); err == nil {
			t.Error("it is written beyond the room")
		}
		if never {
			if err != nil || !errors.Is(s.refused[0], errNeverFits) {
				t.Errorf("%v, refused %v", err, s.refused)
			}
			continue
		}
		first, later := releaseAfter(err, 1, 1), releaseAfter(err, 6, 1)
		if first.Code != api.ReleaseFull || first.NotAttempted || later.Delay <= first.Delay ||
			!strings.Contains(err.Error(), "no room") {
			t.Errorf("released as %+v, then %+v: %v", first, later, err)
		}
	}
}
