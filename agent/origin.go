package agent

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"sealpost/agent/inbox"
	"sealpost/agent/ledger"
	"sealpost/envelope"
	"sealpost/internal/reason"
)

// OriginRequest asks for the part after a number of the origin of a received message, from -1 on.
type OriginRequest struct {
	Message string `json:"message"` // its uid or message id
	After   int    `json:"after"`
}

// OriginPart is a part of the evidence that a site has sent a message.
type OriginPart struct {
	inbox.Signed
	Root string `json:"root"` // the certificate of the network's root, PEM
}

// Proven is an exported origin.
type Proven struct {
	Folder   string        `json:"folder"`
	Message  inbox.Message `json:"message"`
	Together int           `json:"messages_in_envelope"`
	// with message.json, and so with the names of all messages of the envelope
	HasHead bool `json:"has_message_json"`
}

//go:embed verify-an-origin.md
var originReadme []byte

func (a *Agent) origin(ctx context.Context, in OriginRequest) (o OriginPart, err error) {
	if a.inbox == nil {
		return o, reason.Err("no-origins")
	}
	o.Root = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
		Bytes: a.identity.Chain()[2].Raw}))
	switch o.Signed, err = a.inbox.Origin(ctx, in.Message, in.After); {
	case errors.Is(err, inbox.ErrNoOrigin):
		return o, reason.Err("origin-not-kept", "message", in.Message)
	case errors.Is(err, ledger.ErrNotFound) && a.outbox != nil:
		if _, sent := a.outbox.Message(ctx, in.Message); sent == nil {
			return o, reason.Err("origin-own", "message", in.Message)
		}
	}
	if err != nil {
		return o, a.unknown(ctx, in.Message, err)
	}
	return o, nil
}

// WriteOrigin makes the missing folder dir with the evidence of a message's sender. A third party
// needs nothing else. ask returns the part after a number. message.json has the names of all
// messages of the envelope: with several it is left out unless the scope is WholeEnvelope.
func WriteOrigin(dir string, scope OriginScope,
	ask func(after int) (OriginPart, error)) (p Proven, err error) {
	first, err := ask(-1)
	if err != nil {
		return p, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return p, err
	}
	p.Folder, p.Message = dir, first.Message
	if err := p.write(dir, scope, first, ask); err != nil {
		return p, errors.Join(err, os.RemoveAll(dir))
	}
	return p, nil
}

// OriginScope is the scope of an exported origin.
type OriginScope int

// The scopes. With OneMessage nothing shows the names of other messages.
const (
	OneMessage OriginScope = iota
	WholeEnvelope
)

func (p *Proven) write(dir string, scope OriginScope, first OriginPart,
	ask func(after int) (OriginPart, error)) error {
	text := bufio.NewReader(&originReader{ask: ask, part: first})
	head, err := text.ReadBytes('\n')
	if err != nil {
		return err
	}
	signature, err := text.ReadBytes('\n')
	if err != nil {
		return err
	}
	head = bytes.TrimSuffix(head, []byte("\n"))
	signature = bytes.TrimSuffix(signature, []byte("\n"))
	h, err := envelope.ParseHead(head)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(h.Messages, func(m envelope.HeadMessage) bool {
		return m.UID == p.Message.UID
	})
	p.Together, p.HasHead = len(h.Messages), len(h.Messages) == 1 || scope == WholeEnvelope
	entries, err := os.Create(filepath.Join(dir, "entries"))
	if err != nil {
		return err
	}
	digests, err := copyEntries(entries, text, at, len(h.Messages))
	if err = errors.Join(err, entries.Close()); err != nil {
		return err
	}
	files := map[string][]byte{"README.md": originReadme, "root.pem": []byte(first.Root),
		"signature.jws": signature, "digests": digests}
	if p.HasHead {
		files["message.json"] = head
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// copyEntries copies the entries of one of several messages, and returns the digests of all. Each
// of several messages has one entry.
func copyEntries(to io.Writer, text *bufio.Reader, at, messages int) (digests []byte, err error) {
	out, sum := bufio.NewWriter(to), sha256.New()
	for n := 0; ; n++ {
		entry, err := text.ReadBytes(0)
		if err == io.EOF && len(entry) == 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		sum.Write(entry)
		if messages == 1 || n == at {
			out.Write(entry) //nolint:errcheck // Flush returns it
		}
		if messages > 1 {
			digests = sum.Sum(digests)
			sum.Reset()
		}
	}
	if messages == 1 {
		digests = sum.Sum(nil)
	}
	return digests, out.Flush()
}

// originReader reads the parts of an origin one behind the other.
type originReader struct {
	ask  func(after int) (OriginPart, error)
	part OriginPart
	read int // of the part's data
}

func (r *originReader) Read(p []byte) (int, error) {
	if r.read == len(r.part.Data) {
		next, err := r.ask(r.part.Part)
		if err != nil {
			return 0, err
		}
		if r.part, r.read = next, 0; len(next.Data) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(p, r.part.Data[r.read:])
	r.read += n
	return n, nil
}
