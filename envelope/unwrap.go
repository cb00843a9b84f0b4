package envelope

import (
	"bytes"
	"errors"
	"io"

	"filippo.io/age"

	"sealpost/internal/id"
	"sealpost/statement"
)

// argumentOf and wrappedKey fix the form of a stanza. All recipients must judge a header alike, but
// age looks only at its own stanza.
var argumentOf = map[string]int{ // characters of its one argument, an encapsulated key in base64
	"mlkem768x25519": (1088+32)*8/6 + 1,
	"X25519":         32*8/6 + 1,
}

const wrappedKey = 16 + 16 // bytes of its body: the file key and a tag

// unwrapper is the only age.Identity of Open. It checks all stanzas before it tries a key.
type unwrapper struct {
	keys    *Keys
	stanzas int
	key     id.Hash // of the recipient string of the matching key
}

// Unwrap implements age.Identity.
func (u *unwrapper) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	u.stanzas = len(stanzas)
	if len(stanzas) > MaxRecipients {
		return nil, flawf(statement.CodeHeaderInvalid, "%d stanzas in the header, more than %d",
			len(stanzas), MaxRecipients)
	}
	want := stanzaOf[u.keys.suite]
	for _, s := range stanzas {
		if s.Type != want {
			return nil, flawf(statement.CodeHeaderInvalid, "a stanza of type %.40q in the "+
				"header: this network uses %s only", s.Type, want)
		}
		if len(s.Args) != 1 || len(s.Args[0]) != argumentOf[want] || len(s.Body) != wrappedKey {
			return nil, flawf(statement.CodeHeaderInvalid, "a stanza in the header is malformed")
		}
	}
	held := u.keys.held.Load()
	for i, identity := range held.identities {
		fileKey, err := identity.Unwrap(stanzas)
		if errors.Is(err, age.ErrIncorrectIdentity) {
			continue
		}
		if err != nil {
			return nil, flawf(statement.CodeHeaderInvalid, "a stanza is malformed: %w", err)
		}
		u.key = held.hashes[i]
		return fileKey, nil
	}
	return nil, age.ErrIncorrectIdentity
}

// decrypt checks the header and returns the plaintext. age authenticates each chunk first.
func (u *unwrapper) decrypt(src io.Reader, buf []byte) (io.Reader, error) {
	start, err := readHeader(src, buf)
	if err != nil {
		return nil, err
	}
	plain, err := age.Decrypt(io.MultiReader(bytes.NewReader(start), src), u)
	if err == nil {
		return plain, nil
	}
	var none *age.NoIdentityMatchError
	var f *flaw
	switch {
	case errors.As(err, &f):
		return nil, f
	case errors.As(err, &none):
		return nil, flawf(statement.CodeNotForMe, "none of this site's keys fits")
	default:
		return nil, flawf(statement.CodeHeaderInvalid, "the header: %w", err)
	}
}

// readHeader reads until the header is in buf, and returns the bytes it read. buf has the maximum
// size of a header; age's own limit is far higher.
func readHeader(src io.Reader, buf []byte) ([]byte, error) {
	const step = 8 << 10
	n, searched := 0, 0
	for n < len(buf) {
		k, err := src.Read(buf[n:min(n+step, len(buf))])
		n += k
		if hasHeaderEnd(buf[searched:n]) || err == io.EOF {
			return buf[:n], nil // age reports the error of a header without end
		}
		if err != nil {
			return nil, err
		}
		searched = max(0, n-64) // the last line has 48 bytes
	}
	return nil, flawf(statement.CodeHeaderInvalid, "a header of more than %d bytes", len(buf))
}

// hasHeaderEnd reports whether b has the last line of a header: "--- " and a MAC.
func hasHeaderEnd(b []byte) bool {
	mark := []byte("\n---")
	i := bytes.Index(b, mark)
	return i >= 0 && bytes.IndexByte(b[i+len(mark):], '\n') >= 0
}
