package statement

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/strictjson"
)

// RecipientKey states the key under which a site receives. Each version names its predecessor, so
// that an older one cannot pass as the newest, and none can be inserted. After a planned change the
// site opens with the former key until a stated time.
type RecipientKey struct {
	V         int       `json:"v"` // 1
	Network   id.Hash   `json:"network"`
	Site      id.Site   `json:"site"`
	Recipient string    `json:"recipient"` // age1…
	Version   int       `json:"version"`   // from 1
	Created   time.Time `json:"created"`   // UTC
	Prev      id.Hash   `json:"prev"`      // Hash of the version before; "" for the first
	// until when at least the site opens with the key before, UTC; absent: that one is lost
	PrevOpens time.Time `json:"prev_opens,omitzero"`
}

func (RecipientKey) typ() string                   { return "sealpost-recipient-v1" }
func (RecipientKey) maxSize() int                  { return maxStatement }
func (k RecipientKey) speaker() (id.Hash, id.Site) { return k.Network, k.Site }

// recipientPattern is the form of an age recipient in Bech32: 62 characters for X25519, 1,959 for
// the hybrid. age checks the rest. A plugin's recipient has a second 1, and does not match.
var recipientPattern = regexp.MustCompile(`^age1(pq1)?[02-9ac-hj-np-z]{32,}$`)

const maxRecipient = 4000 // characters; a regular expression counts to 1,000 only

func (k RecipientKey) validate() error {
	if err := first(version(k.V), hash("network", k.Network), site("site", k.Site),
		moment("created", k.Created)); err != nil {
		return err
	}
	if len(k.Recipient) > maxRecipient || !recipientPattern.MatchString(k.Recipient) {
		return malformed("recipient: want an age recipient, age1…")
	}
	if k.Version < 1 {
		return malformed("version: want 1 or more")
	}
	if k.Version == 1 {
		if k.Prev != "" {
			return malformed("prev: the first version has no predecessor")
		}
		if !k.PrevOpens.IsZero() {
			return malformed("prev_opens: the first version has no predecessor")
		}
		return nil
	}
	if !k.PrevOpens.IsZero() {
		if err := moment("prev_opens", k.PrevOpens); err != nil {
			return err
		}
	}
	return hash("prev", k.Prev)
}

// Hash returns the SHA-256 of the payload in its exact form, the Prev of the next version.
func (k RecipientKey) Hash() id.Hash {
	exact, err := strictjson.Marshal(k)
	if err != nil {
		return "" // only a time beyond the year 9999, which validate refuses
	}
	return sum(exact)
}

// RecipientKeyHash returns the SHA-256 of a recipient string. Envelopes and routes name the key by
// it.
func RecipientKeyHash(recipient string) id.Hash {
	return sum([]byte(recipient))
}

func sum(data []byte) id.Hash {
	s := sha256.Sum256(data)
	return id.Hash(hex.EncodeToString(s[:]))
}
