package envelope

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// collected keeps the parts and the checkpoints of a sealing.
type collected struct {
	ciphertext []byte
	first      int // number of the first part
	parts      int
	crossed    []Checkpoint
	stop       int // part at which the sealing fails; 0: none
	wrong      error
}

var errStopped = errors.New("stopped")

func (c *collected) Next() ([]byte, error) { return make([]byte, 0, partSize), nil }

func (c *collected) Full(part int, content []byte, sum uint32) error {
	if c.parts == 0 {
		c.first = part
	}
	if part != c.first+c.parts || sum != crc32.Checksum(content, castagnoli) {
		c.wrong = errors.New("a part is out of order, or has another checksum")
	}
	c.parts++
	if c.parts == c.stop {
		return errStopped
	}
	c.ciphertext = append(c.ciphertext, content...)
	return nil
}

func (c *collected) Crossed(at Checkpoint) { c.crossed = append(c.crossed, at) }

// The planned size is the sealed one. From each checkpoint on, the rest is the same message.
func TestSealingGoesOnFromEachCheckpoint(t *testing.T) {
	w := newWorld(t, SuiteX25519)
	w.segment = smallSegment
	rapid.Check(t, func(rt *rapid.T) {
		messages := anyMessages(rt)[:1]
		req := w.request(t, messages, "CA-RC", "SF-RC")
		p, err := NewPlan(req, w.site(t, "FL-LAB").identity)
		if err != nil {
			rt.Fatal(err)
		}
		open := func(ciphertext []byte) (Opened, *tray) {
			got := newTray()
			opened, err := w.opener(t, "SF-RC").Open(bytes.NewReader(ciphertext),
				w.announce(req, ciphertext), got)
			if err != nil {
				rt.Fatal(err)
			}
			return opened, got
		}
		var all collected
		digest, err := p.Seal(Checkpoint{}, &all)
		if err != nil || int64(len(all.ciphertext)) != p.Size || all.wrong != nil {
			rt.Fatalf("%d bytes, planned %d, %v, %v", len(all.ciphertext), p.Size, err, all.wrong)
		}
		opened, got := open(all.ciphertext)
		_, _, sealed := w.seal(t, req)
		compareOpened(rt, messages, sealed, opened, got)
		if want := (p.Size - 1) / smallSegment; int64(len(all.crossed)) != want {
			rt.Fatalf("%d checkpoints, want %d", len(all.crossed), want)
		}
		for n, at := range all.crossed {
			if len(all.crossed) > 8 && rand.IntN(len(all.crossed)) > 8 {
				continue // some of very many
			}
			var rest collected
			same, err := p.Seal(at, &rest)
			if err != nil || same != digest || rest.wrong != nil {
				rt.Fatalf("from checkpoint %d: %v, %v", n+1, err, rest.wrong)
			}
			if !slices.EqualFunc(rest.crossed, all.crossed[n+1:], func(a, b Checkpoint) bool {
				return a.At == b.At && bytes.Equal(a.Content, b.Content) &&
					bytes.Equal(a.Entries, b.Entries)
			}) {
				rt.Fatalf("from checkpoint %d: other checkpoints behind it", n+1)
			}
			opened, got := open(slices.Concat(all.ciphertext[:(n+1)*smallSegment], rest.ciphertext))
			compareOpened(rt, messages, sealed, opened, got)
		}
	})
}

// A sealing with segments of the real size goes on at the last edge. It seeks to it.
func TestLargeSealingGoesOn(t *testing.T) {
	w := newWorld(t, SuiteHybrid)
	const size = 2*segmentSize + 3*partSize/2
	read := int64(0)
	e := Entry{Path: "big", Size: size, Open: func() (io.ReadCloser, error) {
		return &counted{endless{size}, &read}, nil
	}}
	req := w.request(t, []Message{message(1, "big", TypeFile, e)}, "CA-RC")
	p, err := NewPlan(req, w.site(t, "FL-LAB").identity)
	if err != nil {
		t.Fatal(err)
	}
	first := &collected{stop: SegmentParts + 5}
	if _, err := p.Seal(Checkpoint{}, &uncopied{first}); !errors.Is(err, errStopped) {
		t.Fatalf("stopped with %v", err)
	}
	if len(first.crossed) != 1 {
		t.Fatalf("crossed %d edges", len(first.crossed))
	}
	read = 0
	rest := &collected{}
	if _, err := p.Seal(first.crossed[0], &uncopied{rest}); err != nil || rest.wrong != nil {
		t.Fatal(err, rest.wrong)
	}
	if rest.first != SegmentParts || rest.parts != SegmentParts+2 {
		t.Errorf("the rest has %d parts from part %d on", rest.parts, rest.first)
	}
	if want := int64(size) - first.crossed[0].At + 2<<10; read > want {
		t.Errorf("%d bytes were read, want at most %d", read, want)
	}
}

// uncopied keeps no content.
type uncopied struct{ *collected }

func (u uncopied) Full(part int, content []byte, sum uint32) error {
	err := u.collected.Full(part, content, sum)
	u.ciphertext = nil
	return err
}

// counted counts the bytes that are read, and can seek.
type counted struct {
	endless
	read *int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.endless.Read(p)
	*c.read += int64(n)
	return n, err
}

func (c *counted) Seek(offset int64, _ int) (int64, error) {
	c.left -= offset
	return offset, nil
}

func (c *counted) Close() error { return nil }

// A source has another size than planned, or fails, or a part is not taken.
func TestSealingOfPartsFails(t *testing.T) {
	w := newWorld(t, SuiteX25519)
	content := "0123456789"
	e := memory("data", content)
	req := w.request(t, []Message{message(1, "data", TypeFile, e)}, "CA-RC")
	identity := w.site(t, "FL-LAB").identity
	broken := errors.New("disk")
	for name, c := range map[string]struct {
		open func() (io.ReadCloser, error)
		want error
	}{
		"grown": {func() (io.ReadCloser, error) { return stringFile(content + "x"), nil },
			ErrSourceChanged},
		"cut": {func() (io.ReadCloser, error) { return stringFile(content[1:]), nil },
			ErrSourceChanged},
		"broken": {func() (io.ReadCloser, error) { return nil, broken }, broken},
	} {
		e.Open = c.open
		req.Messages[0] = message(1, "data", TypeFile, e)
		p, err := NewPlan(req, identity)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Seal(Checkpoint{}, &collected{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	e.Open = func() (io.ReadCloser, error) { return stringFile(content), nil }
	req.Messages[0] = message(1, "data", TypeFile, e)
	p, err := NewPlan(req, identity)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Seal(Checkpoint{}, &collected{stop: 1}); !errors.Is(err, errStopped) {
		t.Errorf("not taken: %v", err)
	}
	req.Messages = append(req.Messages, req.Messages[0])
	if _, err := NewPlan(req, identity); err == nil {
		t.Error("a plan of two messages")
	}
}

func stringFile(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }
