package envelope

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"filippo.io/age"

	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
	"sealpost/statement"
)

// MaxKeys is the maximum number of a site's private keys: the newest, and older ones for envelopes
// in transit.
const MaxKeys = 4

const maxKeyFile = 64 << 10 // bytes

// Keys holds a site's private keys for opening envelopes, all of one suite. It is safe for
// concurrent use.
//
// Their file has the form of age's own identity files, so that `age -d -i` reads it: one key a
// line, the newest last.
type Keys struct {
	suite string
	held  atomic.Pointer[keySet]
}

// keySet is one immutable set of keys, the newest last.
type keySet struct {
	identities []age.Identity
	recipients []string // the public keys beside them
	hashes     []id.Hash
}

// OpenKeys reads the keys at path. If there is no file, it makes one key and writes it durably,
// readable by the owner only. It refuses a file that others may read.
func OpenKeys(path, suite string) (*Keys, error) {
	if stanzaOf[suite] == "" {
		return nil, reason.Err("recipient-key", "path", path, "why",
			reason.New("suite-unknown", "suite", suite,
				"known", []string{SuiteHybrid, SuiteX25519}))
	}
	data, err := secretfile.Read(path, maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKeys(path, suite)
	}
	if err != nil {
		return nil, reason.Err("recipient-key", "path", path, "why", err)
	}
	k, err := ParseKeys(data, suite)
	if err != nil {
		return nil, reason.Err("recipient-key", "path", path, "why", err)
	}
	return k, nil
}

func makeKeys(path, suite string) (*Keys, error) {
	data, err := makeText(suite)
	if err != nil {
		return nil, err
	}
	err = secretfile.Create(path, data)
	if errors.Is(err, fs.ErrExist) { // another process made it first: use its key
		return OpenKeys(path, suite)
	}
	if err != nil {
		return nil, reason.Err("recipient-key", "path", path, "why", err)
	}
	return ParseKeys(data, suite)
}

// Add makes another key, and writes it behind the others at path. It is the newest from then on.
func (k *Keys) Add(path string) error {
	held, err := secretfile.Read(path, maxKeyFile)
	if err != nil {
		return reason.Err("recipient-key", "path", path, "why", err)
	}
	made, err := makeText(k.suite)
	if err != nil {
		return err
	}
	if n := len(held); n > 0 && held[n-1] != '\n' {
		held = append(held, '\n')
	}
	return k.exchange(path, append(held, made...))
}

// KeepNewest destroys all keys at path but the newest one.
func (k *Keys) KeepNewest(path string) error {
	held, err := secretfile.Read(path, maxKeyFile)
	if err != nil {
		return reason.Err("recipient-key", "path", path, "why", err)
	}
	var newest, next []byte // the last key with the comments before it
	for line := range bytes.Lines(held) {
		next = append(next, line...)
		if !isComment(string(bytes.TrimSuffix(line, []byte("\n")))) {
			newest, next = next, nil
		}
	}
	return k.exchange(path, newest)
}

// exchange writes other keys to path, and uses them from then on.
func (k *Keys) exchange(path string, text []byte) error {
	next, err := ParseKeys(text, k.suite)
	if err != nil {
		return reason.Err("recipient-key", "path", path, "why", err)
	}
	if err := secretfile.Exchange(path, text); err != nil {
		return err
	}
	k.held.Store(next.held.Load())
	return nil
}

// makeText makes a key, and returns it as the text of an identity file.
func makeText(suite string) ([]byte, error) {
	secret, public, err := generate(suite)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "# created: %s\n# public key: %s\n%s\n",
		time.Now().UTC().Format(time.RFC3339), public, secret), nil
}

func generate(suite string) (secret, public string, err error) {
	if suite == SuiteHybrid {
		i, err := age.GenerateHybridIdentity()
		if err != nil {
			return "", "", err
		}
		return i.String(), i.Recipient().String(), nil
	}
	i, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", err
	}
	return i.String(), i.Recipient().String(), nil
}

// ParseKeys reads 1 to MaxKeys keys of the suite from the text of an identity file. Its errors
// never quote the text.
func ParseKeys(data []byte, suite string) (*Keys, error) {
	k, held := &Keys{suite: suite}, &keySet{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if isComment(line) {
			continue
		}
		if err := held.add(line, suite); err != nil {
			return nil, reason.Err("key-line", "n", n, "why", err)
		}
	}
	if lines.Err() != nil {
		return nil, reason.Err("key-line-long")
	}
	if n := len(held.identities); n == 0 || n > MaxKeys {
		return nil, reason.Err("key-count", "n", n, "most", MaxKeys)
	}
	k.held.Store(held)
	return k, nil
}

func isComment(line string) bool { return line == "" || strings.HasPrefix(line, "#") }

func (k *keySet) add(line, want string) error {
	identities, err := age.ParseIdentities(strings.NewReader(line))
	if err != nil {
		return reason.Err("key-not-age")
	}
	suite, public := "", ""
	switch i := identities[0].(type) {
	case *age.HybridIdentity:
		suite, public = SuiteHybrid, i.Recipient().String()
	case *age.X25519Identity:
		suite, public = SuiteX25519, i.Recipient().String()
	}
	if suite != want {
		return reason.Err("key-wrong-suite", "suite", want)
	}
	k.identities = append(k.identities, identities[0])
	k.recipients = append(k.recipients, public)
	k.hashes = append(k.hashes, statement.RecipientKeyHash(public))
	return nil
}

// Has reports whether one of the keys has this public side.
func (k *Keys) Has(recipient string) bool {
	return slices.Contains(k.held.Load().recipients, recipient)
}

// Count returns the number of keys: more than one during an overlap.
func (k *Keys) Count() int { return len(k.held.Load().recipients) }

// Recipient returns the newest key's public side, for senders.
func (k *Keys) Recipient() string {
	held := k.held.Load().recipients
	return held[len(held)-1]
}

// Suite returns the suite of the keys.
func (k *Keys) Suite() string { return k.suite }

// String keeps the keys out of logs and messages.
func (k *Keys) String() string {
	return fmt.Sprintf("%d keys of the suite %s", k.Count(), k.suite)
}

// GoString keeps the keys out of %#v.
func (k *Keys) GoString() string { return k.String() }
