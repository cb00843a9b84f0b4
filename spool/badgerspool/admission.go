package badgerspool

import (
	"fmt"
	"os"
	"path/filepath"

	"sealpost/internal/durable"
	"sealpost/spool"
)

// Badger must never meet a full disk: it writes through mapped memory, where a full disk is a
// SIGBUS. So the writer reads the free space before each commit.

// room is the free space of the disk, with the limits for it.
type room struct {
	free    int64
	pending int64 // of it, reserved for uploads
	reserve int64
	floor   int64
	err     error
}

// admit reads the free space.
func (s *Spool) admit() room {
	free, err := s.seams.free(s.dir)
	return room{free, s.holdings.unallocated(), s.opts.Reserve, s.opts.Floor, err}
}

// allows returns ErrFull if the disk has no room for a change of that need.
func (r room) allows(n need) error {
	if r.err != nil {
		return r.err
	}
	if n == needRoom && r.free-r.pending < r.reserve || r.free < r.floor {
		return fmt.Errorf("%w: %d bytes are free, %d of them reserved for uploads", spool.ErrFull,
			r.free, r.pending)
	}
	return nil
}

// allowsMore returns ErrFull if the disk has no room to reserve more bytes. The reserved ones are
// those of now.
func (r room) allowsMore(more, reserved int64) error {
	if r.err != nil {
		return r.err
	}
	if r.free-reserved-more < r.reserve {
		return fmt.Errorf("%w: %d bytes are free, %d of them reserved for uploads", spool.ErrFull,
			r.free, reserved)
	}
	return nil
}

// openNeeds is the space that Badger takes to open after a crash. It writes a memtable's log, the
// tables that it makes of old logs, and its manifest.
const openNeeds = 64 << 20

func (s *Spool) ballastPath() string { return filepath.Join(s.dir, "ballast") }

// roomToOpen deletes the ballast if there is too little room to open. It fails if that is not
// enough.
func (s *Spool) roomToOpen() error {
	free, err := s.seams.free(s.dir)
	if err != nil {
		return err
	}
	if free >= openNeeds {
		return nil
	}
	s.opts.Log.Warn("disk too full to open the spool; deleting the ballast", "free", free)
	if err := s.seams.disk.Unlink(s.ballastPath()); err != nil {
		return err
	}
	if err := durable.SyncDir(s.dir); err != nil {
		return err
	}
	if free, err = s.seams.free(s.dir); err != nil {
		return err
	}
	if free < openNeeds {
		return fmt.Errorf("%w: opening the spool in %s needs %d MiB and %d MiB are free: "+
			"make room and start again", spool.ErrFull, s.dir, openNeeds>>20, free>>20)
	}
	return nil
}

// loadBallast creates the ballast file again when there is room for it above the reserve.
func (s *Spool) loadBallast() error {
	if s.opts.Ballast == 0 {
		return nil
	}
	if info, err := os.Stat(s.ballastPath()); err == nil && info.Size() == s.opts.Ballast {
		return nil
	}
	free, err := s.seams.free(s.dir)
	if err != nil || free-s.opts.Ballast < max(s.opts.Reserve, openNeeds) {
		return err
	}
	f, err := s.seams.disk.Reserve(s.ballastPath(), s.opts.Ballast)
	if err != nil {
		return fmt.Errorf("make the ballast: %w", err)
	}
	return f.Close()
}
