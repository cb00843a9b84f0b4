package envelope

import (
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"

	"sealpost/internal/id"
	"sealpost/statement"
)

// The suites. A network has one, and an envelope never mixes them.
const (
	SuiteHybrid = "hybrid" // X25519 and ML-KEM-768 together
	SuiteX25519 = "x25519"
)

// stanzaOf holds the only stanza type of a suite in the header.
var stanzaOf = map[string]string{
	SuiteHybrid: "mlkem768x25519",
	SuiteX25519: "X25519",
}

// ErrRecipients means that no envelope can be sealed for these recipients.
var ErrRecipients = errors.New("cannot seal for these recipients")

// Recipient is a site and its encryption public key.
type Recipient struct {
	Site id.Site
	Key  string // age1pq1… or age1…

	parsed age.Recipient // by Prepare
}

// Prepare returns the recipient with its key parsed, for repeated use.
func (r Recipient) Prepare() (Recipient, error) {
	if r.parsed != nil {
		return r, nil
	}
	var err error
	if suiteOf(r.Key) == SuiteHybrid {
		r.parsed, err = age.ParseHybridRecipient(r.Key)
	} else {
		r.parsed, err = age.ParseX25519Recipient(r.Key)
	}
	if err != nil {
		return r, fmt.Errorf("%w: the key of %s is malformed", ErrRecipients, r.Site)
	}
	return r, nil
}

// suiteOf returns the suite of a recipient string by its prefix.
func suiteOf(key string) string {
	if strings.HasPrefix(key, "age1pq1") {
		return SuiteHybrid
	}
	return SuiteX25519
}

// wrapFor returns the recipients for age and for the head. They must be sorted, all different and
// of one suite.
func wrapFor(recipients []Recipient) ([]age.Recipient, []HeadRecipient, error) {
	keys := make([]age.Recipient, len(recipients))
	heads := make([]HeadRecipient, len(recipients))
	for i, r := range recipients {
		if suiteOf(r.Key) != suiteOf(recipients[0].Key) {
			return nil, nil, fmt.Errorf("%w: %s and %s have keys of different suites",
				ErrRecipients, recipients[0].Site, r.Site)
		}
		r, err := r.Prepare()
		if err != nil {
			return nil, nil, err
		}
		keys[i] = r.parsed
		heads[i] = HeadRecipient{Site: r.Site, Key: statement.RecipientKeyHash(r.Key)}
	}
	if err := validRecipients(heads); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrRecipients, err)
	}
	return keys, heads, nil
}
