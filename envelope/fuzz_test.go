package envelope

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/strictjson"
	"sealpost/statement"
)

// fixedHead returns the head of an envelope with fixed ids, so that a fuzzer's findings can be
// repeated.
func fixedHead(kind, name string) Head {
	return Head{
		V: 1, Network: someHash, Envelope: id.Envelope(strings.Repeat("e0", 16)), Sender: "FL-LAB",
		Address:    id.Address{RoutingKey: "fl-lab.dat"},
		Recipients: []HeadRecipient{{"CA-RC", someHash}},
		Messages: []HeadMessage{{
			ID: "FL-LAB_DAT_20251008_001", UID: id.UID(strings.Repeat("1d", 16)), Sender: "FL-LAB",
			Sent:    time.Date(2025, 10, 8, 12, 0, 0, 0, time.UTC),
			Content: HeadContent{name, kind}, FingerprintKey: FingerprintKey{7},
		}},
	}
}

// fixedForgery is an honest plaintext of that head, but for its signature, which is that of some
// network.
func fixedForgery(t testing.TB, w *world, kind, name string, pieces ...piece) *forgery {
	return &forgery{w: w, from: w.site(t, "FL-LAB"), head: fixedHead(kind, name), pieces: pieces,
		tail: zeros[:]}
}

func fixedExpect(size int) Expect {
	h := fixedHead(TypeFile, "x")
	return Expect{Envelope: h.Envelope, Sender: h.Sender, Address: h.Address,
		Messages: []ExpectMessage{{h.Messages[0].ID, h.Messages[0].UID}}, Size: int64(size),
		At: time.Now()}
}

// strictSink fails on an input that Open must never give.
type strictSink struct {
	t    testing.TB
	left int
}

func (s *strictSink) path(path string, size int64) {
	if err := ValidPath(path); err != nil {
		s.t.Fatal(err)
	}
	if size < 0 || size > int64(s.left) {
		s.t.Fatalf("%q of %d bytes in %d", path, size, s.left)
	}
}

func (s *strictSink) Dir(_ int, path string, _ time.Time) error { s.path(path, 0); return nil }

func (s *strictSink) File(_ int, path string, _ bool, _ time.Time,
	size int64) (io.WriteCloser, error) {
	s.path(path, size)
	return s, nil
}

func (s *strictSink) Signed([]byte) error { return nil }

func (s *strictSink) Write(b []byte) (int, error) {
	if s.left -= len(b); s.left < 0 {
		s.t.Fatal("more content than plaintext")
	}
	return len(b), nil
}

func (s *strictSink) Close() error { return nil }

// openPlaintext makes the checks 3 to 7 of a plaintext with fixed ids.
func openPlaintext(t testing.TB, w *world, plain []byte) error {
	p := openings.Get().(*opening)
	defer p.release()
	p.opener = &Opener{Network: someHash, Site: "CA-RC", Verifier: w.verifier,
		Pin: func(id.Site, id.Hash) error {
			return nil
		}}
	p.want, p.sink = fixedExpect(len(plain)), &strictSink{t, len(plain)}
	p.cut.unwrap.key, p.cut.unwrap.stanzas = someHash, 1
	_, err := p.archive(bytes.NewReader(plain))
	return err
}

func FuzzOpenPlaintext(f *testing.F) {
	w := newWorld(f, SuiteX25519)
	for _, s := range []*forgery{
		fixedForgery(f, w, TypeFile, "data.csv", content(0, "data.csv", "a,b\n")),
		fixedForgery(f, w, TypeFile, "é", content(0, "é", "")),
		fixedForgery(f, w, TypeFolder, "set", contentDir(0, "set"),
			contentDir(0, "set/"+strings.Repeat("d", 120)), content(0, "set/x", "x")),
	} {
		plain := s.plain(f)
		if err := openPlaintext(f, w, plain); err != nil {
			f.Fatal(err) // otherwise nothing behind the first check would be fuzzed
		}
		f.Add(plain)
	}
	for _, h := range hostileMembers {
		s := fixedForgery(f, w, TypeFile, "data.csv", content(0, "data.csv", "a,b\n"))
		h.bend(f, s)
		if plain := s.plain(f); len(plain) < 16<<10 {
			f.Add(plain)
		}
	}
	other := newWorld(f, SuiteX25519) // so that no signature is ever right
	f.Fuzz(func(t *testing.T, plain []byte) {
		var flaw *flaw
		if err := openPlaintext(t, other, plain); !errors.As(err, &flaw) ||
			statement.Meaning(flaw.code) == "" {
			t.Fatalf("got %v, want a flaw with a code", err)
		}
	})
}

// The writer reproduces every archive that the reader accepts, byte by byte.
func FuzzArchive(f *testing.F) {
	f.Add(fixedForgery(f, newWorld(f, SuiteX25519), TypeFile, "data.csv",
		content(0, "data.csv", "a,b\n")).plain(f))
	f.Add(piece{member: member{path: strings.Repeat("é", 100), size: 3}, body: "abc"}.bytes())
	f.Add(piece{member: member{path: strings.Repeat("d/", 70) + "x", dir: true}}.bytes())
	f.Fuzz(func(t *testing.T, plain []byte) {
		var r tarReader
		r.reset(bytes.NewReader(plain), int64(len(plain)))
		var resealed []byte
		for {
			m, err := r.next()
			if err != nil {
				break
			}
			body, err := io.ReadAll(&r)
			if err != nil {
				break
			}
			resealed = append(resealed, piece{member: m, body: string(body)}.bytes()...)
		}
		if !bytes.HasPrefix(plain, resealed) {
			t.Fatalf("read %q, would write %q", plain, resealed)
		}
	})
}

func FuzzMessageJSON(f *testing.F) {
	for _, name := range []string{"data.csv", "é😀", "a\u2028b", "<&>", "\"\\\t\x01", "\u0000"} {
		data, err := strictjson.Marshal(fixedHead(TypeFile, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ParseHead(data)
		if err != nil {
			return
		}
		resealed, err := h.Format()
		if err != nil || !bytes.Equal(resealed, data) {
			t.Fatalf("parsed %q, formats as %q, %v", data, resealed, err)
		}
	})
}

// Whatever bytes were published: they open, or they are refused with a code.
func FuzzOpen(f *testing.F) {
	w := newWorld(f, SuiteX25519)
	ciphertext, want, _ := w.seal(f, w.request(f, []Message{file(1, "data.csv", "a,b\n")}, "CA-RC"))
	f.Add(ciphertext)
	f.Add([]byte("age-encryption.org/v1\n-> X25519 AAAA\nAAAA\n--- AAAA\n"))
	o := w.opener(f, "CA-RC")
	f.Fuzz(func(t *testing.T, data []byte) {
		err := proven(o, data, want)
		var refusal *Refusal
		if len(data) > 0 && err != nil && !errors.As(err, &refusal) {
			t.Fatalf("got %v, want a refusal", err)
		}
	})
}
