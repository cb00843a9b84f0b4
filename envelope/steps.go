package envelope

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"sealpost/certs"
	"sealpost/internal/id"
	"sealpost/statement"
)

// run makes the checks 2 to 7, in order.
func (p *opening) run() (Opened, error) {
	p.cut = segmentReader{src: &p.source, size: p.segmentSize(),
		unwrap: unwrapper{keys: p.opener.Keys}, header: p.header}
	if p.from != nil {
		if err := p.restore(p.from); err != nil {
			return Opened{}, err
		}
	}
	if err := p.cut.next(); err != nil {
		return Opened{}, err
	}
	return p.archive(&p.cut)
}

func (p *opening) segmentSize() int64 { return cmp.Or(p.opener.segment, segmentSize) }

// archive makes the checks 3 to 7 on the plaintext.
func (p *opening) archive(plain io.Reader) (Opened, error) {
	p.tar.reset(plain, p.want.Size)
	head, err := p.head()
	if err != nil {
		return Opened{}, err
	}
	messages, last, err := p.messages(head)
	if err != nil {
		return Opened{}, err
	}
	key, jws, err := p.signature(last, hashOf(p.raw))
	if err != nil {
		return Opened{}, err
	}
	if err := p.tar.end(); err != nil {
		return Opened{}, archiveFlaw(statement.CodeTrailingData, err)
	}
	return Opened{SenderKey: key, Messages: messages, Head: p.raw, Signature: jws}, nil
}

// head makes the third check, of message.json. It is not trusted yet: it may only cause a refusal.
func (p *opening) head() (h Head, err error) {
	if p.from != nil {
		p.raw = p.from.Head
	} else {
		m, err := p.tar.next()
		if err != nil {
			return h, archiveFlaw(statement.CodeEntryInvalid, err)
		}
		p.raw, err = p.small(m, headPath, maxHead, statement.CodeMetadataInvalid)
		if err != nil {
			return h, err
		}
	}
	if h, err = ParseHead(p.raw); err != nil {
		return h, &flaw{code: statement.CodeMetadataInvalid, err: err}
	}
	if err := p.forMe(h); err != nil {
		return h, err
	}
	return h, p.asAnnounced(h)
}

// forMe compares the head with this site and with the age header.
func (p *opening) forMe(h Head) error {
	if h.Network != p.opener.Network {
		return flawf(statement.CodeMetadataMismatch, "it is of another network, %s", h.Network)
	}
	i := slices.IndexFunc(h.Recipients, func(r HeadRecipient) bool {
		return r.Site == p.opener.Site
	})
	if i < 0 {
		return flawf(statement.CodeNotForMe, "%s is not among its recipients", p.opener.Site)
	}
	if h.Recipients[i].Key != p.cut.unwrap.key {
		return flawf(statement.CodeMetadataMismatch, "the key that opened it is not the one that "+
			"it names for %s", p.opener.Site)
	}
	if len(h.Recipients) != p.cut.unwrap.stanzas {
		return flawf(statement.CodeMetadataMismatch, "it names %d recipients and is encrypted "+
			"for %d", len(h.Recipients), p.cut.unwrap.stanzas)
	}
	return nil
}

// asAnnounced compares the head with the hub's record.
func (p *opening) asAnnounced(h Head) error {
	want := p.want
	if h.Sender != want.Sender {
		return flawf(statement.CodeMetadataMismatch, "it is by %s and was published by %s",
			h.Sender, want.Sender)
	}
	if h.Envelope != want.Envelope {
		return flawf(statement.CodeMetadataMismatch, "it is envelope %s", h.Envelope)
	}
	if h.Address.String() != want.Address.String() {
		return flawf(statement.CodeMetadataMismatch, "it is addressed to %s and was published "+
			"for %s", h.Address, want.Address)
	}
	same := func(m HeadMessage, w ExpectMessage) bool { return m.ID == w.ID && m.UID == w.UID }
	if !slices.EqualFunc(h.Messages, want.Messages, same) {
		return flawf(statement.CodeMetadataMismatch, "its messages are not those that the hub "+
			"announced")
	}
	if len(h.Messages) > 1 && want.Size > MaxShared {
		return flawf(statement.CodeTooLarge, "%d messages in %d bytes", len(h.Messages), want.Size)
	}
	return nil
}

// messages makes the fourth and fifth check. It also returns the member behind the last message.
func (p *opening) messages(h Head) ([]OpenedMessage, member, error) {
	p.left = cmp.Or(p.opener.entries, MaxEntries)
	opened := make([]OpenedMessage, len(h.Messages))
	p.single = len(h.Messages) == 1 && h.Messages[0].Content.Type == TypeFile
	var m member
	var err error
	if p.from != nil {
		m = p.from.member(&p.tar)
	} else {
		m, err = p.tar.next()
	}
	for i, hm := range h.Messages {
		if err != nil {
			return nil, m, archiveFlaw(statement.CodeEntryInvalid, err)
		}
		opened[i] = OpenedMessage{ID: hm.ID, UID: hm.UID, Sent: hm.Sent, Name: hm.Content.Name,
			Type: hm.Content.Type}
		if m, err = p.message(i, &opened[i], m); err != nil {
			return nil, m, err
		}
		opened[i].Fingerprint = Fingerprint(hm.FingerprintKey, opened[i].Digest)
	}
	return opened, m, nil
}

// message reads the entries of message n, of which m is the first, and returns the member behind
// the last.
func (p *opening) message(n int, o *OpenedMessage, m member) (member, error) {
	prefix := contentPrefix + strconv.Itoa(n) + "/"
	p.order.reset(o.Name, o.Type == TypeFolder)
	for {
		path, ok := strings.CutPrefix(m.path, prefix)
		if !ok {
			break
		}
		if err := p.entry(n, path, m); err != nil {
			return m, err
		}
		o.Entries++
		o.Size += m.size
		var err error
		if m, err = p.tar.next(); err != nil {
			return m, archiveFlaw(statement.CodeEntryInvalid, err)
		}
	}
	if !p.order.hasStarted() {
		return m, flawf(statement.CodeEntryInvalid, "%.80q stands where %s%s is expected", m.path,
			prefix, o.Name)
	}
	if o.Type == TypeFile {
		o.SHA256 = id.Hash(hex.EncodeToString(p.tally.last[:]))
	}
	o.Digest = p.tally.endMessage()
	return m, nil
}

// entry checks one entry, then gives it to the sink and counts it.
func (p *opening) entry(n int, path string, m member) error {
	if p.left--; p.left < 0 {
		return flawf(statement.CodeTooLarge, "%q and the entries after it are too many", path)
	}
	if err := ValidPath(path); err != nil {
		return &flaw{code: statement.CodeEntryInvalid, err: err}
	}
	if err := p.order.add(path, m.dir); err != nil {
		return &flaw{code: statement.CodeEntryInvalid, err: err}
	}
	mtime := time.Unix(m.mtime, 0).UTC()
	if m.dir {
		if err := p.sink.Dir(n, path, mtime); err != nil {
			return fmt.Errorf("store the folder %q: %w", path, err)
		}
	} else if err := p.file(n, path, m, mtime); err != nil {
		return err
	}
	p.tally.endEntry(path, m)
	if err := p.sink.Signed(p.tally.line); err != nil {
		return fmt.Errorf("store the entry %q: %w", path, err)
	}
	return nil
}

func (p *opening) file(n int, path string, m member, mtime time.Time) error {
	var w io.WriteCloser
	var err error
	resumer, resumes := p.sink.(Resumer)
	if p.from == nil {
		w, err = p.sink.File(n, path, m.exec, mtime, m.size)
	} else {
		w, err = resumer.Continue(path, mtime, p.from.Written)
		p.from = nil
	}
	if err != nil {
		return fmt.Errorf("store %q: %w", path, err)
	}
	p.cut.stops = resumes && p.single
	err = p.copyTo(w, m)
	p.cut.stops = false
	if closed := w.Close(); err == nil && closed != nil {
		err = closed
	}
	var f *flaw
	if err != nil && !errors.As(err, &f) {
		err = fmt.Errorf("store %q: %w", path, err)
	}
	return err
}

// copyTo hashes the body of m and writes it to w. An error of w is returned as it is.
func (p *opening) copyTo(w io.Writer, m member) error {
	for {
		k, err := p.tar.Read(p.buf)
		p.tally.content.Write(p.buf[:k])
		if k > 0 {
			if _, err := w.Write(p.buf[:k]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err == errEdge {
			err = p.keep(m)
			if err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return archiveFlaw(statement.CodeEntryInvalid, err)
		}
	}
}

// signature makes the sixth check. It returns the sender's identity key, and the statement.
func (p *opening) signature(m member, head id.Hash) (key id.Hash, jws []byte, err error) {
	jws, err = p.small(m, signaturePath, maxSignature, statement.CodeEntryInvalid)
	if err != nil {
		return "", nil, err
	}
	signed, err := statement.Open[statement.EnvelopeSignature](string(jws), p.opener.Verifier,
		p.want.At)
	switch {
	case errors.Is(err, certs.ErrNotValidNow):
		return "", nil, fmt.Errorf("the sender's certificate: %w", err)
	case errors.Is(err, certs.ErrUntrusted):
		return "", nil, &flaw{code: statement.CodeSignerUntrusted, err: err}
	case err != nil:
		return "", nil, &flaw{code: statement.CodeSignatureInvalid, err: err}
	case signed.Site != p.want.Sender:
		return "", nil, flawf(statement.CodeSignerMismatch, "%s signed it, not %s", signed.Site,
			p.want.Sender)
	}
	if err := p.opener.Pin(signed.Site, signed.Key); err != nil {
		return "", nil, err
	}
	if body := sumHash(p.tally.body); signed.Payload.Head != head || signed.Payload.Body != body {
		return "", nil, flawf(statement.CodeDigestMismatch, "the signature is over something else")
	}
	return signed.Key, jws, nil
}

// small reads message.json or signature.jws. Their headers are fixed except for the size. code
// names another member in its place.
func (p *opening) small(m member, path string, limit int64, code string) ([]byte, error) {
	if m != (member{path: path, size: m.size}) {
		return nil, flawf(code, "%.80q stands where %s is expected", m.path, path)
	}
	if m.size > limit {
		return nil, flawf(statement.CodeTooLarge, "%s has %d bytes, more than %d", path, m.size,
			limit)
	}
	data := make([]byte, m.size)
	if _, err := io.ReadFull(&p.tar, data); err != nil {
		return nil, archiveFlaw(statement.CodeEntryInvalid, err)
	}
	if err := p.tar.endBody(); err != io.EOF {
		return nil, archiveFlaw(statement.CodeEntryInvalid, err)
	}
	return data, nil
}
