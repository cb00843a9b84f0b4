package envelope

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"sealpost/internal/id"
)

// Resumption is an edge between two segments behind which an opening can go on. The edge is in the
// content of a single file.
type Resumption struct {
	Ciphertext id.Hash `json:"ciphertext"` // names the ciphertext: see name
	At         int64   `json:"at"`         // bytes of the ciphertext before it
	Sum        uint32  `json:"sum"`        // CRC-32C of the part that is begun
	Segments   int     `json:"segments"`
	Key        id.Hash `json:"key"` // that opened them
	Stanzas    int     `json:"stanzas"`
	Head       []byte  `json:"head"` // the exact message.json
	Path       string  `json:"path"` // of the member
	Executable bool    `json:"executable"`
	ModTime    int64   `json:"mtime"`
	Size       int64   `json:"size"`
	Written    int64   `json:"written"` // bytes of the content before it
	Hash       []byte  `json:"hash"`    // state of the content's hash
}

// Before returns the bytes of the ciphertext before an edge; nil: 0.
func (r *Resumption) Before() int64 {
	if r == nil {
		return 0
	}
	return r.At
}

// Resumer is a Sink that can go on after an opening has ended early.
type Resumer interface {
	Sink
	// Keep takes the edge behind all content that was written. The error ends the opening.
	Keep(Resumption) error
	// Continue is File for the file of a Resumption. It drops all content behind it.
	Continue(path string, mtime time.Time, written int64) (io.WriteCloser, error)
}

// ErrUnproven means that an opening cannot go on, or that its content is at fault. Only an opening
// from the start can prove that.
var ErrUnproven = errors.New("the opening that went on proves nothing")

// Resume is Open from an edge on, for the same ciphertext. The content before the edge must be as
// it was written. It never returns a *Refusal, but ErrUnproven, and then reads no rest.
func (o *Opener) Resume(src io.Reader, want Expect, from Resumption, sink Resumer) (Opened, error) {
	return o.open(src, want, &from, sink)
}

// name returns a hash of the hub's record that names the ciphertext: envelope, size and checksums.
// An envelope id names one ciphertext for ever, so other checksums are a fault of the hub.
func (e Expect) name() id.Hash {
	text, err := json.Marshal([]any{e.Envelope, e.Size, e.CRC32C})
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return hashOf(text)
}

// restore sets the state of an opening to that at an edge.
func (p *opening) restore(r *Resumption) error {
	segment := p.segmentSize()
	if r.Ciphertext != p.want.name() || r.At != int64(r.Segments)*segment || r.At <= 0 ||
		r.At >= p.want.Size || r.Written < 0 || r.Written > r.Size {
		return fmt.Errorf("%w: it is of another ciphertext", ErrUnproven)
	}
	err := p.tally.content.(encoding.BinaryUnmarshaler).UnmarshalBinary(r.Hash)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	p.source.at, p.source.sum = r.At, r.Sum
	p.cut.n = r.Segments
	p.cut.unwrap.key, p.cut.unwrap.stanzas = r.Key, r.Stanzas
	return nil
}

// member returns the member of the edge. The tar reader reads the rest of it.
func (r *Resumption) member(t *tarReader) member {
	t.left, t.pad = r.Size-r.Written, padding(r.Size)
	return member{path: r.Path, exec: r.Executable, mtime: r.ModTime, size: r.Size}
}

// keep gives the present edge, in the content of m, to the sink.
func (p *opening) keep(m member) error {
	state, err := p.tally.content.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return err
	}
	return p.sink.(Resumer).Keep(Resumption{Ciphertext: p.want.name(), At: p.source.at,
		Sum: p.source.sum, Segments: p.cut.n, Key: p.cut.unwrap.key,
		Stanzas: p.cut.unwrap.stanzas, Head: p.raw, Path: m.path, Executable: m.exec,
		ModTime: m.mtime, Size: m.size, Written: m.size - p.tar.left, Hash: state})
}
