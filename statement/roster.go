package statement

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sealpost/certs"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/strictjson"
)

// MaxRoster is the number of bytes of the largest roster, a JWS. About 2,500 sites fit.
const MaxRoster = 512 << 10

// MaxRosterAge is the longest time for which a roster is valid.
const MaxRosterAge = 400 * 24 * time.Hour

const rosterType = "sealpost-roster-v1"

// Roster lists the sites of a network with their identities and roles. It also lists the identity
// keys that are distrusted. The root signs it, which is not on the hub.
type Roster struct {
	V       int       `json:"v"` // 1
	Network id.Hash   `json:"network"`
	Number  int64     `json:"number"` // from 1; each roster has a higher one than those before
	Signed  time.Time `json:"signed"` // UTC, in whole seconds
	Ends    time.Time `json:"ends"`   // UTC, in whole seconds; at most MaxRosterAge after Signed
	// every site of the network must be on the roster; no later roster ends that
	Required   bool            `json:"required"`
	Sites      []RosterSite    `json:"sites,omitempty"`      // sorted by site
	Distrusted []DistrustedKey `json:"distrusted,omitempty"` // sorted by identity
}

// RosterSite is a site with its only identity.
type RosterSite struct {
	Site     id.Site `json:"site"`
	Identity id.Hash `json:"identity"` // SHA-256 of its identity public key
	Role     string  `json:"role"`     // send, receive or both
}

// CanSend reports whether the role covers sending.
func (s RosterSite) CanSend() bool { return s.Role == "send" || s.Role == "both" }

// CanReceive reports whether the role covers receiving.
func (s RosterSite) CanReceive() bool { return s.Role == "receive" || s.Role == "both" }

// DistrustedKey is an identity key that is stolen, or otherwise of no worth.
type DistrustedKey struct {
	Identity id.Hash   `json:"identity"`
	Site     id.Site   `json:"site"`  // whose it was
	Since    time.Time `json:"since"` // UTC, in whole seconds
}

// Find returns a site of the roster.
func (r Roster) Find(name id.Site) (RosterSite, bool) {
	n, ok := slices.BinarySearchFunc(r.Sites, name, func(s RosterSite, name id.Site) int {
		return cmp.Compare(s.Site, name)
	})
	if !ok {
		return RosterSite{}, false
	}
	return r.Sites[n], true
}

// Distrusts reports whether a key is distrusted.
func (r Roster) Distrusts(identity id.Hash) bool {
	_, ok := slices.BinarySearchFunc(r.Distrusted, identity, func(d DistrustedKey, i id.Hash) int {
		return cmp.Compare(d.Identity, i)
	})
	return ok
}

// Replaces reports whether the roster takes the place of the held one; nil: none is held. The same
// roster again does not. An older one, and another one with the same number, is an error.
func (r Roster) Replaces(held *Roster) (bool, error) {
	switch {
	case held == nil || r.Number > held.Number:
		return true, nil
	case r.Number < held.Number:
		return false, reason.Err("roster-older", "offered", r.Number, "held", held.Number)
	case r.digest() != held.digest():
		return false, reason.Err("roster-twice", "n", r.Number)
	}
	return false, nil
}

// digest returns the SHA-256 of the payload in its exact form.
func (r Roster) digest() id.Hash {
	exact, err := strictjson.Marshal(r)
	if err != nil {
		return "" // only a time beyond the year 9999, which Check refuses
	}
	return sum(exact)
}

// rosterHeader is the header of a roster. The order of its fields is that of the encoded bytes.
type rosterHeader struct {
	Alg string  `json:"alg"`
	Kid id.Hash `json:"kid"` // fingerprint of the root's key
	Typ string  `json:"typ"`
}

// SignRoster signs a roster as the root of its network.
func SignRoster(root *certs.Root, r Roster) (string, error) {
	if err := r.Check(); err != nil {
		return "", fmt.Errorf("sign a roster: %w", err)
	}
	if r.Network != root.Network() {
		return "", fmt.Errorf("sign a roster: it is of the network %.16s…, and the root of "+
			"%.16s…", r.Network, root.Network())
	}
	jws, err := signExact(root, r, (&jose.SignerOptions{}).WithType(rosterType).
		WithHeader("kid", r.Network))
	if err == nil && len(jws) > MaxRoster {
		err = malformed("it would have %d bytes, and %d are allowed", len(jws), MaxRoster)
	}
	if err != nil {
		return "", fmt.Errorf("sign a roster: %w", err)
	}
	return jws, nil
}

// OpenRoster checks a roster and returns it. It checks the exact form (else ErrMalformed) and the
// signature by the root of v (else ErrSignature). It compares neither numbers nor times: see
// Replaces and Ends.
func OpenRoster(jws string, v certs.Verifier) (Roster, error) {
	r, err := openRoster(jws, v)
	if errors.Is(err, ErrMalformed) {
		err = reason.Err("roster-malformed", "why", err)
	}
	return r, err
}

func openRoster(jws string, v certs.Verifier) (r Roster, err error) {
	raw, err := split(jws, MaxRoster)
	if err != nil {
		return Roster{}, err
	}
	var h rosterHeader
	if err := strictjson.Unmarshal(raw[0], &h); err != nil {
		return Roster{}, malformed("header: %v", err)
	}
	if h.Alg != string(algorithm) || h.Typ != rosterType {
		return Roster{}, malformed("header: want %s and %s, found %.20q and %.40q", algorithm,
			rosterType, h.Alg, h.Typ)
	}
	if err := strictjson.Unmarshal(raw[1], &r); err != nil {
		return Roster{}, malformed("payload: %v", err)
	}
	if err := r.Check(); err != nil {
		return Roster{}, err
	}
	if h.Kid != v.Network || r.Network != v.Network ||
		certs.Fingerprint(v.Root.PublicKey) != v.Network {
		return Roster{}, fmt.Errorf("%w: the roster is of the network %.16s…, not %.16s…",
			ErrSignature, r.Network, v.Network)
	}
	if err := verifyWith(v.Root.PublicKey, jws, raw[1]); err != nil {
		return Roster{}, err
	}
	return r, nil
}

// Check checks that the roster has its one form.
func (r Roster) Check() error {
	if err := first(version(r.V), hash("network", r.Network), second("signed", r.Signed),
		second("ends", r.Ends)); err != nil {
		return err
	}
	if r.Number < 1 || r.Number > 1<<53-1 {
		return malformed("number: want 1 to 2^53-1, found %d", r.Number)
	}
	if age := r.Ends.Sub(r.Signed); age <= 0 || age > MaxRosterAge {
		return malformed("ends: want a time in the %v after it was signed", MaxRosterAge)
	}
	holder := map[id.Hash]id.Site{}
	for n, s := range r.Sites {
		if err := first(site("site", s.Site), hash("identity", s.Identity)); err != nil {
			return err
		}
		switch {
		case !s.CanSend() && !s.CanReceive():
			return malformed("role of %s: want send, receive or both, found %.20q", s.Site, s.Role)
		case n > 0 && r.Sites[n-1].Site >= s.Site:
			return malformed("sites: %s does not stand in order", s.Site)
		case holder[s.Identity] != "":
			return malformed("identity: %s and %s have the same", holder[s.Identity], s.Site)
		}
		holder[s.Identity] = s.Site
	}
	for n, d := range r.Distrusted {
		if err := first(hash("identity", d.Identity), site("site", d.Site),
			second("since", d.Since)); err != nil {
			return err
		}
		switch {
		case n > 0 && r.Distrusted[n-1].Identity >= d.Identity:
			return malformed("distrusted: %s does not stand in order", d.Identity)
		case holder[d.Identity] != "":
			return malformed("distrusted: the key of %s is on the roster too", holder[d.Identity])
		}
	}
	return nil
}

// second is moment for a time in whole seconds, the form in which files show it.
func second(field string, t time.Time) error {
	if t.Nanosecond() != 0 {
		return malformed("%s: want whole seconds, found %v", field, t)
	}
	return moment(field, t)
}
