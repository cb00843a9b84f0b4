package envelope

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
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
	suite      string
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
	secret, public, err := generate(suite)
	if err != nil {
		return nil, err
	}
	data := fmt.Appendf(nil, "# created: %s\n# public key: %s\n%s\n",
		time.Now().UTC().Format(time.RFC3339), public, secret)
	err = secretfile.Create(path, data)
	if errors.Is(err, fs.ErrExist) { // another process made it first: use its key
		return OpenKeys(path, suite)
	}
	if err != nil {
		return nil, reason.Err("recipient-key", "path", path, "why", err)
	}
	return ParseKeys(data, suite)
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
	k := &Keys{suite: suite}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := k.add(line); err != nil {
			return nil, reason.Err("key-line", "n", n, "why", err)
		}
	}
	if lines.Err() != nil {
		return nil, reason.Err("key-line-long")
	}
	if n := len(k.identities); n == 0 || n > MaxKeys {
		return nil, reason.Err("key-count", "n", n, "most", MaxKeys)
	}
	return k, nil
}

func (k *Keys) add(line string) error {
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
	if suite != k.suite {
		return reason.Err("key-wrong-suite", "suite", k.suite)
	}
	k.identities = append(k.identities, identities[0])
	k.recipients = append(k.recipients, public)
	k.hashes = append(k.hashes, statement.RecipientKeyHash(public))
	return nil
}

// Has reports whether one of the keys has this public side.
func (k *Keys) Has(recipient string) bool { return slices.Contains(k.recipients, recipient) }

// Recipient returns the newest key's public side, for senders.
func (k *Keys) Recipient() string {
	return k.recipients[len(k.recipients)-1]
}

// Suite returns the suite of the keys.
func (k *Keys) Suite() string { return k.suite }

// String keeps the keys out of logs and messages.
func (k *Keys) String() string {
	return fmt.Sprintf("%d keys of the suite %s", len(k.identities), k.suite)
}

// GoString keeps the keys out of %#v.
func (k *Keys) GoString() string { return k.String() }
