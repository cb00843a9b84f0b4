package inbox

import (
	"time"

	"sealpost/internal/progress"
)

// download is the progress of one large envelope, for users.
type download struct {
	*progress.Meter
	delivery *delivery
}

func (b *Inbox) track(d *delivery) *progress.Meter {
	m := progress.Start(d.Size, 0, time.Now())
	b.mu.Lock()
	defer b.mu.Unlock()
	b.progress[d.Envelope] = &download{m, d}
	return m
}

func (b *Inbox) untrack(d *delivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.progress, d.Envelope)
}
