package inbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/certs"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

const (
	segmentSize = envelope.SegmentParts * api.PartSize
	largeSize   = segmentSize + 5<<20
)

// largeWorld is a centre with an envelope of two segments, a file of zeros.
type largeWorld struct {
	*testing.T
	*Inbox
	d          delivery
	ciphertext *os.File
	whole      []byte // an edge file
	written    int64  // the content before it
	from       []int64
	read       func(at int64, r io.Reader) io.Reader // changes the content of the hub
}

var errLine = errors.New("the line is cut")

func newLargeWorld(t *testing.T) *largeWorld {
	now, dir := time.Now(), t.TempDir()
	root, err := certs.InitRoot(filepath.Join(dir, "root"), "TEST")
	check(t, err)
	authority, err := certs.InitAuthority(filepath.Join(dir, "hub"), root, now)
	check(t, err)
	lab, err := certs.OpenIdentity(filepath.Join(dir, "key"), filepath.Join(dir, "chain"))
	check(t, err)
	csr, err := lab.CSR()
	check(t, err)
	chain, err := authority.IssueSite(csr, "FL-LAB", now)
	check(t, errors.Join(err, lab.SetChain(chain, authority.Network(), now)))
	keys, err := envelope.OpenKeys(filepath.Join(dir, "recipient"), envelope.SuiteX25519)
	check(t, err)
	w := &largeWorld{T: t, Inbox: inboxIn(t, filepath.Join(dir, "inbox"))}
	w.cfg.Site, w.cfg.Network, w.cfg.Keys, w.cfg.MaxSize = "CA-RC", authority.Network(), keys, 1<<40
	w.cfg.Trust = &trust.Trust{Ledger: w.ledger, Network: w.cfg.Network, Now: time.Now,
		Suite: envelope.SuiteX25519, Verifier: certs.NewVerifier(root.Certificate()),
		Log: slog.New(slog.DiscardHandler)}
	w.d.Envelope, w.d.Sender, w.d.Spooled = id.Random128[id.Envelope](), "FL-LAB", now
	w.d.Address = id.Address{RoutingKey: "fl-lab.dat"}
	m := envelope.Message{ID: id.FormatMessage("FL-LAB", "DAT", now, 1), Name: "large",
		UID: id.Random128[id.UID](), Sent: now.UTC(), Type: envelope.TypeFile,
		FingerprintKey: [32]byte{1}}
	m.Entries = func(yield func(envelope.Entry, error) bool) {
		yield(envelope.Entry{Path: m.Name, Size: largeSize, ModTime: now,
			Open: func() (io.ReadCloser, error) {
				return io.NopCloser(io.LimitReader(zeros{}, largeSize)), nil
			}}, nil)
	}
	w.ciphertext, err = os.Create(filepath.Join(dir, "ciphertext"))
	check(t, err)
	t.Cleanup(func() { w.ciphertext.Close() })
	sealed, err := envelope.Seal(w.ciphertext, envelope.SealRequest{Network: w.cfg.Network,
		Envelope: w.d.Envelope, Sender: "FL-LAB", Address: w.d.Address,
		Recipients: []envelope.Recipient{{Site: "CA-RC", Key: keys.Recipient()}},
		Messages:   []envelope.Message{m}}, lab)
	check(t, err)
	w.d.Size, w.d.CRC32C = sealed.Size, sealed.CRC32C
	w.d.Messages = append(w.d.Messages, messageOf(&placement{Received: ledger.Received{UID: m.UID,
		ID: m.ID}}))
	w.restart()
	return w
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// restart is the next process.
func (w *largeWorld) restart() {
	w.Inbox = New(w.cfg)
	w.content = func(_ context.Context, _ *delivery, at int64) (io.Reader, func()) {
		w.from = append(w.from, at)
		r := io.Reader(io.NewSectionReader(w.ciphertext, at, w.d.Size-at))
		if w.read != nil {
			r = w.read(at, r)
		}
		return r, func() {}
	}
}

// open opens the delivery, as held, and returns it with the offsets at which content was read.
func (w *largeWorld) open() (*delivery, []int64, error) {
	w.Helper()
	d := w.d
	w.from = nil
	w.held[d.Envelope] = &d
	defer delete(w.held, d.Envelope)
	err := w.openInto(w.Context(), &d)
	return &d, w.from, err
}

// begun returns the folders of the attempts.
func (w *largeWorld) begun() []string {
	w.Helper()
	all, err := filepath.Glob(filepath.Join(w.temp(), "*"))
	check(w, err)
	return all
}

// begin makes the folder of an attempt that ended behind the edge.
func (w *largeWorld) begin() string {
	w.Helper()
	for _, path := range w.begun() {
		check(w, os.RemoveAll(path))
	}
	path := filepath.Join(w.temp(), string(w.d.Envelope)+"-ENDED")
	check(w, os.Mkdir(path, 0o700))
	content := filepath.Join(path, "0")
	check(w, os.WriteFile(content, nil, 0o640))
	check(w, errors.Join(os.Truncate(content, w.written+1000),
		os.WriteFile(filepath.Join(path, edgeFile), w.whole, 0o600)))
	return path
}

// cutFrom cuts the line in front of an offset.
func cutFrom(end int64) func(int64, io.Reader) io.Reader {
	return func(at int64, r io.Reader) io.Reader {
		return io.MultiReader(io.LimitReader(r, max(0, end-at)), errorReader{errLine})
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func (w *largeWorld) expectContent(d *delivery) {
	w.Helper()
	if len(d.messages) != 1 || d.messages[0].Size != largeSize {
		w.Fatalf("opened are %+v", d.messages)
	}
	f, err := os.Open(filepath.Join(w.cfg.Dir, tempDir, d.dir, "0"))
	check(w, err)
	defer f.Close()
	buf, size := make([]byte, 1<<20), 0
	for {
		n, err := f.Read(buf)
		size += n
		if !bytes.Equal(buf[:n], make([]byte, n)) {
			w.Fatal("it has other content")
		}
		if err == io.EOF {
			break
		}
		check(w, err)
	}
	if size != largeSize {
		w.Fatalf("it has %d bytes, want %d", size, largeSize)
	}
}

// A download goes on at the last edge after a cut, a restart and the loss of its content.
func TestADownloadGoesOn(t *testing.T) {
	w := newLargeWorld(t)
	w.read = cutFrom(segmentSize + 2<<20)
	d, from, err := w.open()
	if !errors.Is(err, errLine) || !slices.Equal(from, []int64{0}) || len(w.begun()) != 1 {
		t.Fatalf("%v, read from %v, begun are %v", err, from, w.begun())
	}
	w.whole, err = os.ReadFile(filepath.Join(w.temp(), d.dir, edgeFile))
	check(t, err)
	f := entered(t, w.Inbox)
	_, edge, err := w.findEdge(f, f.temp, d)
	check(t, err)
	w.written = edge.Written

	w.restart()
	check(t, w.ledger.Update(t.Context(), func(tx *ledger.Tx) error {
		_, err := tx.Begin(d.Envelope, d.Sender, time.Now())
		return err
	}))
	check(t, w.recover(t.Context(), entered(t, w.Inbox)))
	w.read = nil
	write(t, filepath.Join(w.temp(), d.dir, listFile), nil) // of a crash in front of its placing
	next, from, err := w.open()
	check(t, err)
	if !slices.Equal(from, []int64{segmentSize}) || next.dir != d.dir {
		t.Errorf("it went on from %v in %s, not %s", from, next.dir, d.dir)
	}
	w.expectContent(next)
	if _, err := os.Stat(filepath.Join(w.temp(), d.dir, listFile)); err == nil {
		t.Error("the list of records is in the way of a new one")
	}

	// each of these begins anew, in the same attempt
	for name, bend := range map[string]func(path string){
		"its content is deleted": func(path string) {
			check(t, os.Remove(filepath.Join(path, "0")))
		},
		"its content is cut": func(path string) {
			check(t, os.Truncate(filepath.Join(path, "0"), 9))
		},
		"its content is a link": func(path string) {
			content := filepath.Join(path, "0")
			check(t, errors.Join(os.Rename(content, content+"x"), os.Symlink("0x", content)))
		},
		"the hub has another ciphertext": func(string) {
			w.d.CRC32C = slices.Clone(w.d.CRC32C)
			w.d.CRC32C[0]++
		},
	} {
		bend(w.begin())
		w.read = func(at int64, r io.Reader) io.Reader {
			if at == 0 {
				return errorReader{errLine}
			}
			return r
		}
		_, from, err := w.open()
		w.d.CRC32C = d.CRC32C
		if !errors.Is(err, errLine) || !slices.Equal(from, []int64{segmentSize, 0}) ||
			len(w.begun()) > 0 {
			t.Errorf("%s: %v, read from %v, begun are %v", name, err, from, w.begun())
		}
	}
	for name, c := range map[string]struct {
		edge string
		read func(int64, io.Reader) io.Reader
		from []int64
	}{
		"the edge is unreadable": {"{", cutFrom(0), []int64{0}},
		"the disk fails": {string(w.whole), func(int64, io.Reader) io.Reader {
			return errorReader{localError{errLine}}
		}, []int64{segmentSize}},
	} {
		check(t, os.WriteFile(filepath.Join(w.begin(), edgeFile), []byte(c.edge), 0o600))
		w.read = c.read
		if _, from, err := w.open(); !errors.Is(err, errLine) || !slices.Equal(from, c.from) ||
			len(w.begun()) > 0 {
			t.Errorf("%s: %v, read from %v, begun are %v", name, err, from, w.begun())
		}
	}
}

// Begun downloads are removed once they are over, or their room is needed. Those of held deliveries
// and half placed content stay.
func TestBegunDownloadsAreCollected(t *testing.T) {
	b := inboxAt(t)
	f := entered(t, b)
	ctx := t.Context()
	e := id.Random128[id.Envelope]()
	update := func(do func(tx *ledger.Tx) error) { t.Helper(); check(t, b.ledger.Update(ctx, do)) }
	begin := func() string {
		t.Helper()
		path := filepath.Join(b.temp(), string(e)+"-ENDED")
		write(t, filepath.Join(path, edgeFile), []byte("{}"))
		update(func(tx *ledger.Tx) error {
			_, err := tx.Begin(e, "FL-LAB", time.Now())
			return err
		})
		return path
	}
	expect := func(when string, isThere bool) {
		t.Helper()
		if _, err := os.Stat(filepath.Join(b.temp(), string(e)+"-ENDED")); (err == nil) != isThere {
			t.Errorf("%s: %v", when, err)
		}
	}
	begin()
	check(t, b.recover(ctx, f))
	expect("a restart", true)
	b.held[e] = &delivery{}
	_, err := b.makeRoom(ctx, f, f.temp)
	check(t, err)
	expect("no room for others", true)
	clear(b.held)
	b.cfg.Reserve = 1 << 60
	if b.hasSpace(ctx, f) {
		t.Error("the disk has so much space")
	}
	expect("a full disk", false)
	b.cfg.Reserve = 0

	begin()
	update(func(tx *ledger.Tx) error {
		return tx.Place(ledger.Received{Sender: "FL-LAB",
			UID: "uid", Envelope: e, Temp: joinTemp(string(e)+"-ENDED", "0"), Path: "FL-LAB/data"})
	})
	if isAny, err := b.makeRoom(ctx, f, f.temp); isAny || err != nil {
		t.Error("half placed content:", isAny, err)
	}
	update(func(tx *ledger.Tx) error { return tx.NotPlaced("FL-LAB", []id.UID{"uid"}) })
	old := time.Now().Add(-edgeAge - time.Hour)
	check(t, os.Chtimes(filepath.Join(begin(), edgeFile), old, old))
	check(t, b.collectOver(ctx, f))
	expect("after a week", false)

	begin()
	update(func(tx *ledger.Tx) error { return tx.Receipt(e, "r", "", reason.Reason{}) })
	check(t, b.recover(ctx, f))
	expect("after the receipt", false)
}
