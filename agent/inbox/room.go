package inbox

import (
	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

// errNeverFits means that the inbox's volume can never hold a message beside its reserve.
var errNeverFits = reason.Err("inbox-never-fits")

// fileReserve is the number of bytes of the reserve for each inode that is kept free.
const fileReserve = 64 << 10

// keptFiles returns the number of inodes to leave free. On a volume with few it is a part of them.
func (b *Inbox) keptFiles(room beneath.Room) int64 {
	return min(b.cfg.Reserve/fileReserve, room.Files/16)
}

// errNoInodes is errFull for the lack of inodes.
var errNoInodes = reason.Err("inbox-no-inodes", "why", errFull)

// checkSpace returns errFull if content of this size would use the reserve of bytes. It returns
// errNoInodes if the reserve of inodes is in use.
func (b *Inbox) checkSpace(dir *beneath.Dir, size int64) error {
	room, err := dir.Room()
	if err != nil {
		return localError{err}
	}
	return b.checkRoom(room, dir.Path(), size)
}

func (b *Inbox) checkRoom(room beneath.Room, dir string, size int64) error {
	if room.Free-size < b.cfg.Reserve {
		var coming any
		if size > 0 {
			coming = reason.Size(size)
		}
		return reason.Err("inbox-full", "why", errFull, "dir", dir,
			"free", reason.Size(room.Free), "reserve", reason.Size(b.cfg.Reserve), "coming", coming)
	}
	if kept := b.keptFiles(room); room.Files > 0 && room.FreeFiles < kept {
		return reason.Err("inbox-few-inodes", "why", errNoInodes, "dir", dir,
			"free", room.FreeFiles, "reserve", kept)
	}
	return nil
}

// checkEver returns errNeverFits if even the empty volume could not hold so much content, or so
// many entries.
func (b *Inbox) checkEver(room beneath.Room, dir string, size, entries int64) error {
	most := room.Size - b.cfg.Reserve
	if room.Size > 0 && size > most {
		return reason.Err("inbox-too-small", "why", errNeverFits, "dir", dir,
			"size", reason.Size(size), "most", reason.Size(most))
	}
	if most := room.Files - b.keptFiles(room); room.Files > 0 && entries > most {
		return reason.Err("inbox-too-few-inodes", "why", errNeverFits, "dir", dir, "most", most)
	}
	return nil
}

// roomInterval is the number of entries between two looks at the room of the volume.
const roomInterval = 1024

// roomFor returns the check of a message with so many entries by now.
func (b *Inbox) roomFor(dir *beneath.Dir) func(entries int64) error {
	return func(entries int64) error {
		room, err := dir.Room()
		if err != nil {
			return err
		}
		if err := b.checkEver(room, dir.Path(), 0, entries); err != nil {
			return err
		}
		return b.checkRoom(room, dir.Path(), 0)
	}
}
