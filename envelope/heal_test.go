package envelope

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"sealpost/certs"
	"sealpost/internal/id"
)

// local is a Sink that fails at one place, as a full disk does.
type local struct {
	*tray
	dir, file, write, close error
}

func (l *local) Dir(message int, path string, mtime time.Time) error {
	if l.dir != nil {
		return l.dir
	}
	return l.tray.Dir(message, path, mtime)
}

func (l *local) File(message int, path string, executable bool, mtime time.Time,
	size int64) (io.WriteCloser, error) {
	if l.file != nil {
		return nil, l.file
	}
	w, err := l.tray.File(message, path, executable, mtime, size)
	return &localFile{w, l}, err
}

type localFile struct {
	io.WriteCloser
	l *local
}

func (f *localFile) Write(b []byte) (int, error) {
	if f.l.write != nil {
		return 0, f.l.write
	}
	return f.WriteCloser.Write(b)
}

func (f *localFile) Close() error {
	if f.l.close != nil {
		return f.l.close
	}
	return f.WriteCloser.Close()
}

// A fault outside the envelope is never a refusal, and keeps its own error.
func TestWhatCanHealIsNotRefused(t *testing.T) {
	w := newWorld(t, SuiteX25519)
	full := errors.New("no space left on device")
	pin := errors.New("the pin differs")
	set := message(1, "set", TypeFolder, folder("set"), memory("set/a", "x"))
	ciphertext, want, _ := w.seal(t, w.request(t, []Message{set}, "CA-RC"))
	tests := []struct {
		name string
		sink *local
		bend func(o *Opener, want *Expect)
		err  error
	}{
		{"no room for a folder", &local{dir: full}, nil, full},
		{"no room for a file", &local{file: full}, nil, full},
		{"no room while writing", &local{write: full}, nil, full},
		{"no room while closing", &local{close: full}, nil, full},
		{"a pin that differs", &local{}, func(o *Opener, _ *Expect) {
			o.Pin = func(id.Site, id.Hash) error { return pin }
		}, pin},
		{"a clock that is behind", &local{}, func(_ *Opener, want *Expect) {
			want.At = want.At.AddDate(-1, 0, 0)
		}, certs.ErrNotValidNow},
		{"a clock that is ahead", &local{}, func(_ *Opener, want *Expect) {
			want.At = want.At.AddDate(1, 0, 0)
		}, certs.ErrNotValidNow},
		{"a size beyond this site's limit", &local{}, func(o *Opener, _ *Expect) {
			o.MaxSize = 100
		}, LimitError{Size: want.Size, Limit: 100}},
		{"a record without checksums", &local{}, func(_ *Opener, want *Expect) {
			want.CRC32C = nil
		}, ErrExpect},
		{"a record with a checksum too many", &local{}, func(_ *Opener, want *Expect) {
			want.CRC32C = append(want.CRC32C, 0)
		}, ErrExpect},
		{"a record of size zero", &local{}, func(_ *Opener, want *Expect) {
			want.Size = 0
		}, ErrExpect},
		{"a record without messages", &local{}, func(_ *Opener, want *Expect) {
			want.Messages = nil
		}, ErrExpect},
		{"a record with too many messages", &local{}, func(_ *Opener, want *Expect) {
			want.Messages = slices.Repeat(want.Messages, 257)
		}, ErrExpect},
		{"a record with another site's message", &local{}, func(_ *Opener, want *Expect) {
			want.Sender = "PA-LAB"
		}, ErrExpect},
		{"a record with a malformed message id", &local{}, func(_ *Opener, want *Expect) {
			want.Messages[0].ID = "x"
		}, ErrExpect},
		{"a record with a malformed uid", &local{}, func(_ *Opener, want *Expect) {
			want.Messages[0].UID = "x"
		}, ErrExpect},
		{"a record with a malformed envelope id", &local{}, func(_ *Opener, want *Expect) {
			want.Envelope = "../x"
		}, ErrExpect},
		{"a record with a size too small", &local{}, func(_ *Opener, want *Expect) {
			want.Size--
		}, ErrChecksum},
		{"a record with a size too large", &local{}, func(_ *Opener, want *Expect) {
			want.Size++
		}, ErrTruncated},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o, want := w.opener(t, "CA-RC"), want
			want.Messages, want.CRC32C = slices.Clone(want.Messages), slices.Clone(want.CRC32C)
			if test.bend != nil {
				test.bend(o, &want)
			}
			test.sink.tray = newTray()
			opened, err := o.Open(bytes.NewReader(ciphertext), want, test.sink)
			if !errors.Is(err, test.err) {
				t.Fatalf("got %v, want %v", err, test.err)
			}
			if opened.Messages != nil {
				t.Errorf("got %+v beside the error", opened)
			}
			var refusal *Refusal
			if errors.As(err, &refusal) {
				t.Errorf("refused: %v", err)
			}
			var f *flaw
			if errors.As(err, &f) {
				t.Errorf("an unproven flaw got out: %v", err)
			}
		})
	}
	// And the same envelope opens when all of that has healed.
	if _, err := w.opener(t, "CA-RC").Open(bytes.NewReader(ciphertext), want,
		newTray()); err != nil {
		t.Error(err)
	}
}

// The pin is compared only after the signature was verified, and its error outranks others.
func TestPinIsAskedAfterTheSignature(t *testing.T) {
	w := newWorld(t, SuiteX25519)
	var asked []id.Hash
	o := w.opener(t, "CA-RC")
	o.Pin = func(site id.Site, key id.Hash) error { asked = append(asked, key); return nil }
	for _, h := range hostileSignatures {
		f := forge(t, w)
		h.bend(t, f)
		asked = nil
		ciphertext, want := f.seal(t)
		if _, err := o.Open(bytes.NewReader(ciphertext), want, newTray()); err == nil {
			t.Fatalf("%s: opened", h.name)
		}
		if verified := h.code == "digest-mismatch"; (len(asked) == 1) != verified {
			t.Errorf("%s: the pin was asked %d times", h.name, len(asked))
		}
	}
	f := forge(t, w)
	ciphertext, want := f.seal(t)
	opened, err := o.Open(bytes.NewReader(ciphertext), want, newTray())
	if err != nil {
		t.Fatal(err)
	}
	if opened.SenderKey != f.from.identity.Key() {
		t.Errorf("sender's key %s, want %s", opened.SenderKey, f.from.identity.Key())
	}
}

// A reader may give its bytes in any portions.
func TestPortionsDoNotMatter(t *testing.T) {
	w := newWorld(t, SuiteX25519)
	ciphertext, want, _ := w.seal(t,
		w.request(t, []Message{file(1, "data.csv", strings.Repeat("x", 200<<10))}, "CA-RC"))
	for name, portion := range map[string]func(io.Reader) io.Reader{
		"byte by byte": iotest.OneByteReader, "halves": iotest.HalfReader,
		"EOF with the last": iotest.DataErrReader,
	} {
		if _, err := w.opener(t, "CA-RC").Open(portion(bytes.NewReader(ciphertext)), want,
			newTray()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
