package inbox

import (
	"context"
	"crypto/rand"
	"errors"

	"sealpost/internal/id"
)

// A released delivery rests at the hub, for up to an hour after many failures. When the trouble at
// this site has ended, it is asked for at once: leaseAll begins a new session. The end counts only
// if the trouble itself was seen: otherwise each look would repeat a failing download.

// troubles are those of released deliveries, beside an inbox that is unusable or full.
type troubles struct {
	senders map[id.Site]bool // whose folders could not be opened
	disk    diskTrouble
}

// diskTrouble is the state of a disk for which deliveries are released.
type diskTrouble int

const (
	diskWorks   diskTrouble = iota
	diskSuspect             // a delivery was released for it
	diskFails               // it refuses a small file
)

// noteTrouble notes the trouble for which a delivery is released.
func (b *Inbox) noteTrouble(d *delivery, cause error) {
	isLocal := errors.As(cause, new(localError))
	isOfFolder := errors.As(cause, new(senderError)) && errors.As(cause, new(unusableError))
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !isLocal:
	case isOfFolder:
		if b.trouble.senders == nil {
			b.trouble.senders = map[id.Site]bool{}
		}
		b.trouble.senders[d.Sender] = true
	case b.trouble.disk == diskWorks:
		b.trouble.disk = diskSuspect
	}
}

// lookAtTrouble looks whether trouble has ended.
func (b *Inbox) lookAtTrouble(ctx context.Context, f *folders) {
	b.mu.Lock()
	disk := b.trouble.disk
	var senders []id.Site
	for s := range b.trouble.senders {
		senders = append(senders, s)
	}
	b.mu.Unlock()
	isMended := false
	for _, s := range senders {
		if _, err := b.volumeOf(ctx, f, s); err == nil {
			b.mu.Lock()
			delete(b.trouble.senders, s)
			b.mu.Unlock()
			isMended = true
		}
	}
	if disk != diskWorks {
		after := diskWorks
		if f.tryDisk() != nil {
			after = diskFails
		} else if disk == diskFails {
			isMended = true
		}
		b.mu.Lock()
		b.trouble.disk = after
		b.mu.Unlock()
	}
	if isMended {
		b.log.Info("trouble ended")
		b.mended()
	}
}

// trySize is the size of the file that tries the disk.
const trySize = 64 << 10

// tryDisk writes a small file durably where content is written, and removes it.
func (f *folders) tryDisk() error {
	name := "try-" + rand.Text()
	file, err := f.temp.Create(name, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, trySize))
	return errors.Join(err, file.Sync(), file.Close(), f.temp.Remove(name))
}
