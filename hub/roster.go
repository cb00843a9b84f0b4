package hub

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
	"sealpost/internal/strictjson"
	"sealpost/spool"
	"sealpost/statement"
)

// rosterFile, in the state folder, holds the newest roster as the root has signed it. It is no item
// of the registry, whose items are smaller.
const rosterFile = "roster.jws"

// lostRosterFile, in the state folder, holds the rosterMark of the export that was restored.
const lostRosterFile = "lost-roster.json"

// rosterMark names the newest roster of a hub.
type rosterMark struct {
	Number   int64 `toml:"number" json:"number"`
	Required bool  `toml:"required,omitempty" json:"required"`
}

// roster is the newest roster of the network.
type roster struct {
	statement.Roster
	jws string
}

// RosterRequest gives the hub a roster.
type RosterRequest struct {
	Roster string `json:"roster"` // a JWS
}

// forAudit returns the request as it stands in the audit chain.
func (r RosterRequest) forAudit() any {
	sum := sha256.Sum256([]byte(r.Roster))
	return map[string]string{"sha256": hex.EncodeToString(sum[:])}
}

// RosterState describes the newest roster that the hub has. Its number is 0 without one.
type RosterState struct {
	Number int64 `json:"number"`
	// number of the lost hub's roster, if this hub has none as new
	Lacks      int64     `json:"lacks,omitempty"`
	Signed     time.Time `json:"signed,omitzero"`
	Ends       time.Time `json:"ends,omitzero"`
	Required   bool      `json:"required,omitempty"` // sites trust only those on it
	Sites      int       `json:"sites"`
	Distrusted int       `json:"distrusted"` // keys
	// joined sites that are not on it with their key and role, and those whose key is distrusted
	Missing []id.Site `json:"missing,omitempty"`
	Stolen  []id.Site `json:"stolen,omitempty"`
	New     bool      `json:"new,omitempty"`         // the call has replaced an older one
	Cut     int       `json:"connections,omitempty"` // closed by the call
}

// EndsSoon reports whether it is time to sign the next roster: three quarters of its time are over.
func (s RosterState) EndsSoon(now time.Time) bool {
	return s.Number > 0 && s.Ends.Sub(now) < s.Ends.Sub(s.Signed)/4
}

// The relations of a site to the roster.
const (
	OnRoster    = "on"         // with its key and role
	OffRoster   = "off"        // it is not named
	OtherKey    = "other-key"  // it is named with another key
	OtherRole   = "other-role" // it is named with its key and another role
	KeyDistrust = "distrusted" // its key is distrusted
)

// relation returns the relation of a site to the roster.
func (r *roster) relation(s site) string {
	on, named := r.Find(s.Name)
	switch {
	case r.Distrusts(s.Key):
		return KeyDistrust
	case !named:
		return OffRoster
	case on.Identity != s.Key:
		return OtherKey
	case on.Role != s.Role:
		return OtherRole
	}
	return OnRoster
}

// openRoster reads the roster at the start. A damaged file is an error: without it, distrusted keys
// would be let in.
func (h *Hub) openRoster() error {
	path := filepath.Join(h.config.State, lostRosterFile)
	text, err := secretfile.Read(path, 1<<10)
	if err == nil {
		err = strictjson.Unmarshal(text, &h.lostRoster)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return reason.Err("hub-roster-damaged", "file", path, "why", err)
	}
	path = filepath.Join(h.config.State, rosterFile)
	text, err = secretfile.Read(path, statement.MaxRoster)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		var r statement.Roster
		if r, err = statement.OpenRoster(string(text), h.verifier); err == nil {
			h.roster.Store(&roster{r, string(text)})
			return nil
		}
	}
	return reason.Err("hub-roster-damaged", "file", path, "why", err)
}

// markRoster returns the newest roster that this hub, or the lost one in whose place it is, had.
func (h *Hub) markRoster() rosterMark {
	m := h.lostRoster
	if r := h.roster.Load(); r != nil {
		m = rosterMark{max(m.Number, r.Number), m.Required || r.Required}
	}
	return m
}

// isDistrusted reports whether the roster distrusts a key.
func (h *Hub) isDistrusted(key id.Hash) bool {
	r := h.roster.Load()
	return r != nil && r.Distrusts(key)
}

// errDistrusted is the problem of a caller whose key is distrusted.
func errDistrusted(name id.Site, key id.Hash) *api.Error {
	return &api.Error{Code: api.CodeDistrusted, Detail: fmt.Sprintf("the root has declared the "+
		"key %s of %s to be stolen or of no worth; the site needs a new key and a new "+
		"invitation, from the hub's administrator", key, name)}
}

// setRoster takes a newer roster, durably, and cuts the connections of distrusted keys. Sites learn
// of it with their next hello.
func (h *Hub) setRoster(ctx context.Context, in RosterRequest) (RosterState, error) {
	text := strings.TrimSpace(in.Roster)
	next, err := statement.OpenRoster(text, h.verifier)
	if err != nil {
		return RosterState{}, reason.Err("hub-roster-refused", "why", err)
	}
	h.dir.change.Lock()
	defer h.dir.change.Unlock()
	var held *statement.Roster
	if r := h.roster.Load(); r != nil {
		held = &r.Roster
	}
	isNew, err := next.Replaces(held)
	switch now := h.now(); {
	case err != nil:
	case !now.Before(next.Ends):
		err = reason.Err("roster-ended", "n", next.Number, "ends", next.Ends)
	case certs.CheckClock(next.Signed, now) != nil && next.Signed.After(now):
		err = reason.Err("roster-of-future", "n", next.Number, "signed", next.Signed, "now", now)
	}
	if err != nil {
		return RosterState{}, reason.Err("hub-roster-refused", "why", err)
	}
	if !isNew {
		return h.rosterState(), nil
	}
	// The entry comes first, as the roster is not in the store's commit.
	h.note(ctx, spool.AuditNote{By: "hub", Call: ControlSetRoster,
		Text: fmt.Sprintf("takes roster %d", next.Number)})
	if err := secretfile.Write(filepath.Join(h.config.State, rosterFile),
		[]byte(text)); err != nil {
		return RosterState{}, err
	}
	h.roster.Store(&roster{next, text})
	h.log.Info("roster taken", "number", next.Number, "ends", next.Ends, "required",
		next.Required, "sites", len(next.Sites), "distrusted", len(next.Distrusted))
	out := h.rosterState()
	out.New = true
	t := h.dir.view()
	for _, s := range t.sites {
		if next.Distrusts(s.Key) {
			out.Cut += h.links.cut(s.Name)
		}
	}
	for _, a := range t.admins {
		if next.Distrusts(a.Key) {
			out.Cut += h.links.cut(a.Name)
		}
	}
	return out, nil
}

// readRoster returns the state of the roster.
func (h *Hub) readRoster(context.Context, Nothing) (RosterState, error) {
	return h.rosterState(), nil
}

func (h *Hub) rosterState() RosterState {
	r, newest := h.roster.Load(), h.markRoster()
	if r == nil {
		return RosterState{Lacks: newest.Number, Required: newest.Required}
	}
	s := RosterState{Number: r.Number, Signed: r.Signed, Ends: r.Ends,
		Required: newest.Required, Sites: len(r.Sites), Distrusted: len(r.Distrusted)}
	if newest.Number > r.Number {
		s.Lacks = newest.Number
	}
	for _, site := range h.dir.view().sites {
		if site.state() != SiteJoined {
			continue
		}
		switch r.relation(site) {
		case OnRoster:
		case KeyDistrust:
			s.Stolen = append(s.Stolen, site.Name)
		default:
			s.Missing = append(s.Missing, site.Name)
		}
	}
	slices.SortFunc(s.Stolen, cmp.Compare[id.Site])
	slices.SortFunc(s.Missing, cmp.Compare[id.Site])
	return s
}

// getRoster gives the caller the newest roster.
func (c *call) getRoster() error {
	r := c.hub.roster.Load()
	if r == nil {
		return problem(api.CodeNotFound, "this hub has no roster")
	}
	return c.reply(api.RosterAnswer{Roster: r.jws})
}
