package badgerspool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sealpost/internal/durable"
	"sealpost/internal/testkit"
	"sealpost/spool"
	"sealpost/spool/badgerspool/disk"
)

var errInjected = errors.New("injected: input/output error")

// faultyDisk fails one operation: before it took effect, or after.
type faultyDisk struct {
	at    int // which one, counted from 1
	after bool

	mu    sync.Mutex
	count int
	fired string
}

func (d *faultyDisk) do(op, path string, f func() error) error {
	d.mu.Lock()
	d.count++
	now := d.count == d.at
	if now {
		d.fired = op
	}
	d.mu.Unlock()
	if !now {
		return f()
	}
	if d.after {
		if err := f(); err != nil {
			return err
		}
	}
	return errInjected
}

func realSeams() seams { return seams{disk: disk.Real, commit: commit, free: durable.Free} }

func mustOpen(t testing.TB, dir string, opts Options, sm seams) *Spool {
	t.Helper()
	s, err := open(dir, opts, sm)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) // ErrClosed where the test did it
	return s
}

// testEnvelope makes one message of the given content for two recipients.
func testEnvelope(content []byte) spool.Envelope {
	e := smallEnvelope(content, 0)
	e.CRC32C = nil
	for part := 0; part < len(content); part += spool.PartSize {
		e.CRC32C = append(e.CRC32C, crc32.Checksum(
			content[part:min(part+spool.PartSize, len(content))], castagnoli))
	}
	if e.Size > spool.SmallSize {
		e.Content = nil
	}
	return e
}

func filler(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i*7 + size)
	}
	return b
}

// retry repeats a call that failed, as every client does.
func retry(f func() error) (err error) {
	for range 3 {
		if err = f(); err == nil {
			return nil
		}
	}
	return err
}

// publishAny stages the content first if it has to.
func publishAny(ctx context.Context, s *Spool, e spool.Envelope, content []byte) error {
	if e.Size > spool.SmallSize {
		st, err := s.Stage(ctx, uploadOf(e))
		if err != nil {
			return err
		}
		if len(st.Missing()) == len(e.CRC32C) { // the first part is replaced later
			if err := putPart(ctx, st, 0, filler(int(min(e.Size, spool.PartSize)))); err != nil {
				return err
			}
		}
		for part := range e.CRC32C {
			if err := putPart(ctx, st, part, content[part*spool.PartSize:min(
				(part+1)*spool.PartSize, len(content))]); err != nil {
				return err
			}
		}
	}
	_, err := s.Publish(ctx, e)
	return err
}

func uploadOf(e spool.Envelope) spool.Upload {
	return spool.Upload{Sender: e.Sender, Envelope: e.ID, Size: e.Size}
}

func putPart(ctx context.Context, st spool.Staging, part int, data []byte) error {
	return st.Put(ctx, part, crc32.Checksum(data, castagnoli), bytes.NewReader(data))
}

func settleAll(ctx context.Context, s *Spool, queue string, n int) error {
	for n > 0 {
		ds, err := s.Lease(ctx, spool.LeaseRequest{Queue: queue, Session: "a", Max: n,
			MaxBytes: 1 << 20, Duration: time.Minute})
		if err != nil {
			return err
		}
		for _, d := range ds {
			if err := settleOne(ctx, s, d); err != nil {
				return err
			}
		}
		n -= len(ds)
	}
	return nil
}

func settleOne(ctx context.Context, s *Spool, d spool.Delivery) error {
	st := spool.Settlement{Delivery: d.DeliveryID, Sender: d.Sender,
		Receipt: "receipt " + string(d.Envelope) + d.Queue}
	for _, m := range d.Messages {
		st.Outcomes = append(st.Outcomes, spool.Outcome{UID: m.UID, Message: m.ID,
			Outcome: spool.OutcomeDelivered})
	}
	return retry(func() error { _, err := s.Settle(ctx, st); return err })
}

// life is a whole story of a store: one content of each kind is published, read, settled and
// removed.
func life(ctx context.Context, s *Spool) error {
	sizes := []int{900, spool.InlineSize + 1, spool.SmallSize + 1}
	if err := s.Limit(ctx, lifeQuotas(sizes)); err != nil {
		return err
	}
	for _, size := range sizes {
		content := filler(size)
		e := testEnvelope(content)
		if err := retry(func() error { return publishAny(ctx, s, e, content) }); err != nil {
			return fmt.Errorf("publish %d bytes: %w", size, err)
		}
		p, err := s.Publish(ctx, e)
		if err != nil {
			return fmt.Errorf("publish %d bytes again: %w", size, err)
		}
		rc, err := s.Open(ctx, spool.DeliveryID{Incarnation: s.Incarnation(), Queue: "ca_rc_queue",
			Sequence: p.Sequence, Envelope: e.ID}, 0)
		if err != nil {
			return err
		}
		got, err := io.ReadAll(rc)
		if rc.Close(); err != nil || !bytes.Equal(got, content) {
			return fmt.Errorf("%d bytes came back as %d others, %w", size, len(got), err)
		}
	}
	more := testEnvelope(filler(1))
	_, err := s.Publish(ctx, more)
	if errors.Is(err, errInjected) {
		_, err = s.Publish(ctx, more)
	}
	if !errors.Is(err, spool.ErrQuota) {
		return fmt.Errorf("above the quotas an envelope gets %w", err)
	}
	if err := dieOnce(ctx, s); err != nil {
		return fmt.Errorf("die once: %w", err)
	}
	for queue, n := range map[string]int{"ca_rc_queue": len(sizes) - 1, "sf_rc_queue": len(sizes)} {
		if err := settleAll(ctx, s, queue, n); err != nil {
			return fmt.Errorf("settle %s: %w", queue, err)
		}
	}
	if _, _, err := s.Events(ctx, "FL-LAB", 4, 1); err != nil {
		return err
	}
	if _, err := s.Forget(ctx, spool.Retention{Before: time.Now().Add(time.Hour)}); err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	return nil
}

// lifeQuotas let the envelopes of a life in, and no byte more. A count that a failure leaves behind
// makes the repeated call fail.
func lifeQuotas(sizes []int) spool.Quotas {
	all := spool.Quota{Uploads: 1, Reserved: spool.SmallSize + 1}
	for _, size := range sizes {
		all.Bytes += int64(size)
		all.Envelopes++
		all.Messages++
		all.Metadata += spool.MetadataSize(2, 1)
	}
	q := spool.Quotas{Hub: all, Site: all, Queue: all, Dead: 1 << 30}
	q.Hub.Metadata = 0
	return q
}

// dieOnce makes the deliveries of one queue dead. It discards the latest letter and requeues the
// others.
func dieOnce(ctx context.Context, s *Spool) error {
	if _, err := s.Kill(ctx, "ca_rc_queue", "removed"); err != nil {
		return err
	}
	letters, _, err := s.DeadLetters(ctx, 0, 10)
	for i, l := range letters {
		if i == 0 {
			_, err = s.Discard(ctx, l.Letter)
		} else {
			err = errors.Join(err, s.Requeue(ctx, l.Letter))
		}
	}
	return err
}

// TestFaults lets each file operation of a store's life fail once, before it took effect and after.
// The caller repeats the failed call, everything arrives, and nothing is left over.
func TestFaults(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			d := &faultyDisk{at: at, after: after}
			if !t.Run(fmt.Sprintf("after=%t/%d", after, at),
				func(t *testing.T) { oneFault(t, d) }) || d.fired == "" {
				break
			}
		}
	}
}

func oneFault(t *testing.T, d *faultyDisk) {
	dir := t.TempDir()
	sm := realSeams()
	sm.disk = d.do
	s, err := open(dir, Options{}, sm)
	if err != nil {
		t.Fatal(err)
	}
	err = life(t.Context(), s)
	if err != nil {
		t.Errorf("%q failing: %v", d.fired, err)
	}
	mustAudit(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	reopened := mustOpen(t, dir, Options{}, realSeams())
	mustAudit(t, reopened)
	expectEmpty(t, reopened)
}

// expectEmpty waits for the janitor and expects that no content is left on the disk.
func expectEmpty(t *testing.T, s *Spool) {
	t.Helper()
	testkit.Eventually(t, "all content is removed", func() bool { return contentFiles(s) == "" },
		func() string { return contentFiles(s) })
}

func contentFiles(s *Spool) (names string) {
	for _, dir := range []string{s.content.staging, filepath.Join(s.dir, "packs")} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			names += dir + "/" + e.Name() + " "
		}
	}
	folders, _ := os.ReadDir(s.content.root)
	for _, f := range folders {
		entries, _ := os.ReadDir(s.content.root + "/" + f.Name())
		for _, e := range entries {
			names += e.Name() + " "
		}
	}
	return names
}
