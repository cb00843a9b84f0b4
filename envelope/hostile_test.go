package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"sealpost/statement"
)

// hostile is an envelope that must be refused: which step of FORMAT.md refuses it, with which code.
type hostile struct {
	name string
	step int
	code string
	bend func(t testing.TB, f *forgery)
}

// hostiles are all of them, by step.
func hostiles() []hostile {
	return slices.Concat(hostileHeaders, hostileHeads, hostileMembers, hostileSignatures,
		hostileEnds, hostileSegments)
}

// The forger makes envelopes that are believed when nothing was bent. Without this the tests below
// would prove nothing.
func TestForgerIsHonest(t *testing.T) {
	for _, suite := range []string{SuiteHybrid, SuiteX25519} {
		w := newWorld(t, suite)
		f := forge(t, w)
		ciphertext, want := f.seal(t)
		if _, err := w.opener(t, "CA-RC").Open(bytes.NewReader(ciphertext), want,
			newTray()); err != nil {
			t.Fatal(err)
		}
		var sealed bytes.Buffer
		req := w.request(t,
			[]Message{message(1, "data.csv", TypeFile, memory("data.csv", "a,b\n1,2\n"))}, "CA-RC",
			"SF-RC")
		req.Envelope, req.Messages[0].UID, req.Messages[0].FingerprintKey = f.head.Envelope,
			f.head.Messages[0].UID, f.head.Messages[0].FingerprintKey
		s, err := Seal(&sealed, req, f.from.identity)
		if err != nil {
			t.Fatal(err)
		}
		if s.Size != want.Size {
			t.Errorf("%s: the forger makes %d bytes and Seal %d", suite, want.Size, s.Size)
		}
	}
}

func TestHostileEnvelopesAreRefused(t *testing.T) {
	w := newWorld(t, SuiteHybrid)
	names := map[string]bool{}
	for _, h := range hostiles() {
		if names[h.name] {
			t.Fatalf("the name %q stands twice", h.name)
		}
		names[h.name] = true
		t.Run(fmt.Sprintf("step %d/%s", h.step, h.name), func(t *testing.T) {
			f := forge(t, w)
			h.bend(t, f)
			ciphertext, want := f.seal(t)
			o := w.opener(t, "CA-RC")
			o.segment, o.entries = int64(f.segment), f.entries
			_, err := o.Open(bytes.NewReader(ciphertext), want, &strictSink{t, len(ciphertext)})
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("got %v, want a refusal", err)
			}
			if refusal.Code != h.code {
				t.Errorf("refused with %q (%v), want %q", refusal.Code, err, h.code)
			}
			if statement.Meaning(refusal.Code) == "" {
				t.Errorf("%q is not in the closed list", refusal.Code)
			}
			withoutProof(t, o, ciphertext, want)
		})
	}
}

// withoutProof opens the bad envelope with every fault of transport. None of them may end in a
// refusal.
func withoutProof(t *testing.T, o *Opener, ciphertext []byte, want Expect) {
	t.Helper()
	line := errors.New("the line is cut")
	half := ciphertext[:len(ciphertext)/2]
	wrong := want
	wrong.CRC32C = slices.Clone(want.CRC32C)
	wrong.CRC32C[len(wrong.CRC32C)-1] ^= 1
	for _, broken := range []struct {
		name string
		src  io.Reader
		want Expect
		err  error
	}{
		{"cut", bytes.NewReader(half), want, ErrTruncated},
		{"cut as HTTP says it", io.MultiReader(bytes.NewReader(half), failing{io.ErrUnexpectedEOF}),
			want, io.ErrUnexpectedEOF},
		{"broken line", io.MultiReader(bytes.NewReader(half), failing{line}), want, line},
		{"broken line at the end", io.MultiReader(bytes.NewReader(ciphertext), failing{line}), want,
			line},
		{"nothing", bytes.NewReader(nil), want, ErrTruncated},
		{"wrong checksum", bytes.NewReader(ciphertext), wrong, ErrChecksum},
		{"too long", io.MultiReader(bytes.NewReader(ciphertext), bytes.NewReader([]byte{0})), want,
			ErrOverlong},
	} {
		_, err := o.Open(broken.src, broken.want, newTray())
		var refusal *Refusal
		if errors.As(err, &refusal) {
			t.Errorf("%s: refused without proof: %v", broken.name, err)
		}
		if !errors.Is(err, broken.err) {
			t.Errorf("%s: got %v, want %v", broken.name, err, broken.err)
		}
	}
}

// failing is a reader that always fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
