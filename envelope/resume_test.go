package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sealpost/statement"
)

// keeper is a tray that keeps edges with the content before them, and goes on from the last one.
type keeper struct {
	*tray
	edges []Resumption
	kept  []string // content before each edge
	stop  int      // number of the edge at which the opening fails; 0: none
}

func newKeeper() *keeper { return &keeper{tray: newTray()} }

func (k *keeper) Keep(at Resumption) error {
	k.edges, k.kept = append(k.edges, at), append(k.kept, k.open.String())
	if len(k.edges) == k.stop {
		return errStopped
	}
	return nil
}

func (k *keeper) Continue(path string, mtime time.Time, written int64) (io.WriteCloser, error) {
	last := k.edges[len(k.edges)-1]
	if written != last.Written || written != int64(len(k.kept[len(k.kept)-1])) {
		return nil, errors.New("it goes on at another place")
	}
	return k.File(0, path, last.Executable, mtime, last.Size)
}

// at returns a keeper that has only the content before an edge.
func (k *keeper) at(n int) *keeper {
	next := newKeeper()
	next.edges, next.kept = slices.Clone(k.edges[:n+1]), slices.Clone(k.kept[:n+1])
	return next
}

// content returns the content of the one file.
func (k *keeper) content(before int) string {
	for _, s := range k.files {
		return k.kept[before] + s
	}
	return ""
}

// An opening may stop at each edge, and any number of times. It goes on with the same result, and
// each edge is the same state whether it was reached in one run or in many.
func TestOpeningGoesOnFromEachEdge(t *testing.T) {
	w := newWorld(t, SuiteX25519)
	w.segment = smallSegment
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.IntRange(1, 40<<10).Draw(rt, "size")
		name := "data" + strings.Repeat("x", rapid.SampledFrom([]int{0, 100, 900}).Draw(rt, "name"))
		body := strings.Repeat(numbers, size/len(numbers)+1)[:size]
		e := memory(name, body)
		e.Executable = rapid.Bool().Draw(rt, "executable")
		messages := []Message{message(1, name, TypeFile, e)}
		req := w.request(t, messages, "CA-RC", "SF-RC")
		ciphertext, want, sealed := w.seal(t, req)
		o := w.opener(t, "SF-RC")
		whole := newKeeper()
		opened, err := o.Open(bytes.NewReader(ciphertext), want, whole)
		if err != nil {
			rt.Fatal(err)
		}
		compareOpened(rt, messages, sealed, opened, whole.tray)
		if size > 3*smallSegment && len(whole.edges) < size/smallSegment-1 {
			rt.Fatalf("%d bytes have %d edges", size, len(whole.edges))
		}
		for n, at := range whole.edges {
			var kept Resumption // as it comes back from a disk
			text, err := json.Marshal(at)
			if err = errors.Join(err, json.Unmarshal(text, &kept)); err != nil {
				rt.Fatal(err)
			}
			rest := whole.at(n)
			next, err := o.Resume(bytes.NewReader(ciphertext[at.At:]), want, kept, rest)
			if err != nil {
				rt.Fatalf("from edge %d: %v", n, err)
			}
			if next.Messages[0] != opened.Messages[0] || !bytes.Equal(next.Head, opened.Head) ||
				rest.content(n) != body || !bytes.Equal(rest.signed, whole.signed) {
				rt.Fatalf("from edge %d: %+v", n, next)
			}
			if !slices.EqualFunc(rest.edges, whole.edges, func(a, b Resumption) bool {
				x, _ := json.Marshal(a)
				y, _ := json.Marshal(b)
				return bytes.Equal(x, y)
			}) {
				rt.Fatalf("from edge %d: other edges behind it", n)
			}
		}
	})
}

// A stop at an edge is a fault of this site. Folders and several messages have no edges.
func TestEdgesOfOpenings(t *testing.T) {
	w := newWorld(t, SuiteX25519)
	w.segment = smallSegment
	body := strings.Repeat(numbers, 3)
	open := func(k *keeper, messages ...Message) error {
		ciphertext, want, _ := w.seal(t, w.request(t, messages, "CA-RC"))
		_, err := w.opener(t, "CA-RC").Open(bytes.NewReader(ciphertext), want, k)
		return err
	}
	stopped := newKeeper()
	stopped.stop = 2
	err := open(stopped, file(1, "data", body))
	if !errors.Is(err, errStopped) || errors.As(err, new(*Refusal)) {
		t.Errorf("stopped with %v", err)
	}
	for name, messages := range map[string][]Message{
		"folder": {message(1, "set", TypeFolder, folder("set"), memory("set/data", body))},
		"two":    {file(1, "data", body), file(2, "more", body)},
	} {
		k := newKeeper()
		if err := open(k, messages...); err != nil || len(k.edges) > 0 {
			t.Errorf("%s: %v, %d edges", name, err, len(k.edges))
		}
	}
}

// An opening that goes on refuses nothing, and reads no rest of a bad envelope. Only one from the
// start has the proof.
func TestOpeningThatGoesOnProvesNothing(t *testing.T) {
	w := newWorld(t, SuiteX25519)
	w.segment = smallSegment
	ciphertext, want, _ := w.seal(t, w.request(t, []Message{file(1, "data",
		strings.Repeat(numbers, 4))}, "CA-RC", "SF-RC"))
	other, otherWant, _ := w.seal(t, w.request(t, []Message{file(2, "data",
		strings.Repeat(numbers, 4))}, "CA-RC", "SF-RC"))
	good := newKeeper()
	o := w.opener(t, "CA-RC")
	if _, err := o.Open(bytes.NewReader(ciphertext), want, good); err != nil {
		t.Fatal(err)
	}
	const n = 2
	bent := bytes.Clone(ciphertext)
	bent[len(bent)-1] ^= 1
	bentWant := want
	bentWant.CRC32C = checksums(bent)
	change := func(bend func(*Resumption)) Resumption {
		at := good.edges[n]
		bend(&at)
		return at
	}
	for name, c := range map[string]struct {
		ciphertext []byte
		want       Expect
		from       Resumption
		err        error
	}{
		"of another envelope": {other, otherWant, good.edges[n], ErrUnproven},
		"of other checksums":  {bent, bentWant, good.edges[n], ErrUnproven},
		"a flaw behind the edge": {bent, bentWant, change(func(r *Resumption) {
			r.Ciphertext = bentWant.name()
		}), ErrUnproven},
		"a line that changes bytes": {bent, want, good.edges[n], ErrChecksum},
		"a cut line": {ciphertext[:len(ciphertext)-9], want, good.edges[n],
			ErrTruncated},
		"a longer ciphertext": {append(bytes.Clone(ciphertext), 0), want, good.edges[n],
			ErrOverlong},
		"the hash of other content": {ciphertext, want, change(func(r *Resumption) {
			r.Hash = good.edges[n-1].Hash
		}), ErrUnproven},
		"no hash": {ciphertext, want,
			change(func(r *Resumption) { r.Hash = nil }), ErrUnproven},
		"no head": {ciphertext, want,
			change(func(r *Resumption) { r.Head = nil }), ErrUnproven},
		"another key": {ciphertext, want,
			change(func(r *Resumption) { r.Key = "x" }), ErrUnproven},
		"fewer stanzas": {ciphertext, want,
			change(func(r *Resumption) { r.Stanzas = 1 }), ErrUnproven},
		"another path": {ciphertext, want,
			change(func(r *Resumption) { r.Path = "../x" }), ErrUnproven},
		"a place in no edge": {ciphertext, want,
			change(func(r *Resumption) { r.At-- }), ErrUnproven},
		"a place at the start": {ciphertext, want, Resumption{}, ErrUnproven},
		"a place behind the end": {ciphertext, want, change(func(r *Resumption) {
			r.Segments, r.At = 1000, 1000*smallSegment
		}), ErrUnproven},
		"less content than written": {ciphertext, want, change(func(r *Resumption) {
			r.Size = r.Written - 1
		}), ErrUnproven},
	} {
		rest := good.at(n)
		start := min(c.from.At, int64(len(c.ciphertext)))
		_, err := o.Resume(bytes.NewReader(c.ciphertext[start:]), c.want, c.from, rest)
		if !errors.Is(err, c.err) || errors.As(err, new(*Refusal)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := o.Open(bytes.NewReader(bent), bentWant, newKeeper()); err == nil {
		t.Error("a flaw opens")
	} else {
		refusedWith(t, err, statement.CodeCiphertext)
	}
}
