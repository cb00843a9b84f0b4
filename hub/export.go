package hub

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/BurntSushi/toml"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/spool"
)

// maxExport bounds an export, in bytes. A network of 2,000 sites has less than 1 MiB.
const maxExport = 16 << 20

// export is a network as a new hub needs it. It holds no secret and no key. The fields are the
// keys of its text.
type export struct {
	Made    time.Time      `toml:"made"`    // UTC
	Hub     string         `toml:"hub"`     // its name
	Network id.Hash        `toml:"network"` // fingerprint of the root's key
	Suite   string         `toml:"suite"`
	Hosts   []string       `toml:"hosts"`
	Listen  string         `toml:"listen"`
	Site    []exportedSite `toml:"site"`
	Queue   []config.Queue `toml:"queue"`
	Roster  *rosterMark    `toml:"roster,omitempty"` // nil: there is none
	// admins and viewers on other computers
	Admin []exportedAdmin `toml:"admin,omitempty"`
}

// exportedAdmin is an admin or viewer of an export.
type exportedAdmin struct {
	Name        id.Site   `toml:"name"`
	Role        string    `toml:"role"`
	Fingerprint id.Hash   `toml:"fingerprint,omitempty"` // empty: invited, and not joined yet
	Created     time.Time `toml:"created"`
}

// exportedSite is a site of an export. Its recipient key is not among the fields: the site brings
// the newest one itself, and an old one could be a key that is lost.
type exportedSite struct {
	Name        id.Site   `toml:"name"`
	Role        string    `toml:"role"`
	MaySend     []string  `toml:"may_send,omitempty"`
	Fingerprint id.Hash   `toml:"fingerprint,omitempty"` // empty: invited, and not joined yet
	Created     time.Time `toml:"created"`
	Removed     time.Time `toml:"removed,omitempty"`
	// the limits that an admin has set
	SendQuota  *exportedQuota `toml:"send_quota,omitempty"`
	QueueQuota *exportedQuota `toml:"queue_quota,omitempty"`
	// "0s": never; nil: as for all
	ExpiresAfter *config.Duration `toml:"expires_after,omitempty"`
}

// exportedQuota is a spool.Quota of an export.
type exportedQuota struct {
	Bytes     int64 `toml:"bytes,omitzero"`
	Reserved  int64 `toml:"reserved_bytes,omitzero"`
	Uploads   int64 `toml:"uploads,omitzero"`
	Envelopes int64 `toml:"envelopes,omitzero"`
	Messages  int64 `toml:"messages,omitzero"`
	Metadata  int64 `toml:"metadata_bytes,omitzero"`
}

// exportQuota returns a quota for an export; nil: no limit is set.
func exportQuota(q spool.Quota) *exportedQuota {
	if q == (spool.Quota{}) {
		return nil
	}
	e := exportedQuota(q)
	return &e
}

// quota returns the limits of an export.
func (e *exportedQuota) quota() spool.Quota {
	if e == nil {
		return spool.Quota{}
	}
	return spool.Quota(*e)
}

const exportHead = `# sealpost hub export: the sites and routes of the network of %s.
#
# With this file a new hub takes the place of a lost one, and the sites connect to it by themselves:
#
#     sealpost hub init --restore THIS-FILE --root ROOT --dir DIR
#
# ROOT is the folder with root.key and root.pem. This file holds no key: without the root's key it
# restores nothing. It is no secret, but it lists the network's sites.
#
# The hub has signed the text above the certificates. One changed letter makes the file useless.

`

// Exported is the answer to a request for an export.
type Exported struct {
	Text    string    `json:"text"` // of the file
	Made    time.Time `json:"made"`
	Network id.Hash   `json:"network"`
	Sites   int       `json:"sites"`
	Queues  int       `json:"queues"`
}

// export returns the directory as a signed text. It reads it back before: an export that cannot be
// restored would show it too late.
func (h *Hub) export(context.Context, Nothing) (Exported, error) {
	e := h.directoryNow()
	text, err := e.sign(h.identity)
	if err == nil {
		_, err = openExport(text, h.authority.Root())
	}
	if err != nil {
		return Exported{}, fmt.Errorf("export: %w", err)
	}
	if err := h.noteExport(e); err != nil { // the export is good all the same
		h.log.Warn("export not noted", "error", err)
	}
	h.log.Info("hub exported", "sites", len(e.Site), "queues", len(e.Queue))
	return Exported{Text: string(text), Made: e.Made, Network: e.Network, Sites: len(e.Site),
		Queues: len(e.Queue)}, nil
}

// directoryNow returns the directory as an export of this moment.
func (h *Hub) directoryNow() export {
	t := h.dir.view()
	e := export{
		Made: h.now().UTC().Truncate(time.Second), Hub: h.config.Name, Network: h.verifier.Network,
		Suite: h.config.Suite, Hosts: h.hosts(), Listen: h.config.Listen,
	}
	for _, name := range slices.Sorted(maps.Keys(t.sites)) {
		s := t.sites[name]
		var expires *config.Duration
		if s.Quota.Expires != 0 {
			after := config.Duration(h.expiresAfter(s))
			expires = &after
		}
		e.Site = append(e.Site, exportedSite{Name: s.Name, Role: s.Role, MaySend: s.MaySend,
			Fingerprint: s.Key, Created: s.Created.UTC(), Removed: s.Removed,
			SendQuota: exportQuota(s.Quota.Send), QueueQuota: exportQuota(s.Quota.Queue),
			ExpiresAfter: expires})
	}
	for _, name := range slices.Sorted(maps.Keys(t.queues)) {
		q := t.queues[name]
		e.Queue = append(e.Queue, config.Queue{Name: q.Name, Site: string(q.Site),
			Bindings: q.Bindings})
	}
	if newest := h.markRoster(); newest.Number > 0 {
		e.Roster = &newest
	}
	for _, name := range slices.Sorted(maps.Keys(t.admins)) {
		a := t.admins[name]
		e.Admin = append(e.Admin, exportedAdmin{Name: name, Role: a.Role, Fingerprint: a.Key,
			Created: a.Created.UTC()})
	}
	return e
}

func (e export) sign(by *certs.Identity) ([]byte, error) {
	text, err := e.text()
	if err != nil {
		return nil, err
	}
	return by.SignText(text)
}

func (e export) text() ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, exportHead, e.Hub)
	enc := toml.NewEncoder(&b)
	enc.Indent = ""
	if err := enc.Encode(e); err != nil {
		return nil, err
	}
	b.WriteString("\n")
	return b.Bytes(), nil
}

// openExport returns the export in a signed text, if a hub under the root has made it.
func openExport(data []byte, root *x509.Certificate) (export, error) {
	e, signed, err := parseExport(data)
	if err != nil {
		return e, err
	}
	v := certs.NewVerifier(root)
	if e.Network != v.Network {
		return e, reason.Err("restore-other-network", "export", e.Network, "root", v.Network)
	}
	if err := v.HubText(signed, e.Made); err != nil {
		return e, reason.Err("restore-not-signed", "why", err)
	}
	return e, nil
}

// parseExport reads an export strictly. The result is untrusted.
func parseExport(data []byte) (e export, signed certs.SignedText, err error) {
	if signed, err = certs.ParseSignedText(data); err != nil {
		return e, signed, reason.Err("restore-no-export", "why", err)
	}
	meta, err := toml.Decode(string(signed.Text), &e)
	if err != nil {
		return e, signed, reason.Err("restore-no-export", "why", err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return e, signed, reason.Err("restore-newer", "key", unknown[0])
	}
	if err := e.check(); err != nil {
		return e, signed, reason.Err("restore-no-export", "why", err)
	}
	return e, signed, nil
}

// check returns an error for an export that no hub writes.
func (e export) check() error {
	if _, err := id.ParseHash(string(e.Network)); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	if e.Made.IsZero() {
		return errors.New("the time is missing")
	}
	if e.Roster != nil && e.Roster.Number < 1 {
		return errors.New("the roster has no number")
	}
	names := map[string]bool{}
	for _, s := range e.Site {
		if err := s.check(); err != nil {
			return fmt.Errorf("site %.40q: %w", s.Name, err)
		}
		if names[string(s.Name)] {
			return fmt.Errorf("site %s stands there twice", s.Name)
		}
		names[string(s.Name)] = true
	}
	for _, a := range e.Admin {
		if err := a.check(); err != nil {
			return fmt.Errorf("admin %.40q: %w", a.Name, err)
		}
		if names[string(a.Name)] {
			return fmt.Errorf("%s stands there twice", a.Name)
		}
		names[string(a.Name)] = true
	}
	for _, q := range e.Queue {
		site, err := id.ParseSite(q.Site)
		if err == nil {
			err = validPatterns(q.Bindings)
		}
		if err == nil && (q.Name != site.Queue() || len(q.Bindings) > maxBindings) {
			err = errors.New("its name or the number of its bindings is wrong")
		}
		if err != nil {
			return fmt.Errorf("queue %.60q: %w", q.Name, err)
		}
		if names[q.Name] { // no site is named like a queue
			return fmt.Errorf("queue %s stands there twice", q.Name)
		}
		names[q.Name] = true
	}
	return nil
}

// checkNamed checks the name of a site or admin, and its fingerprint if it has one.
func checkNamed(name id.Site, print id.Hash) error {
	if _, err := id.ParseSite(string(name)); err != nil {
		return err
	}
	if print == "" {
		return nil
	}
	_, err := id.ParseHash(string(print))
	return err
}

func (a exportedAdmin) check() error {
	if !certs.IsAdminRole(a.Role) {
		return fmt.Errorf("role %.20q: want admin, operator or viewer", a.Role)
	}
	return checkNamed(a.Name, a.Fingerprint)
}

func (s exportedSite) check() error {
	if err := checkNamed(s.Name, s.Fingerprint); err != nil {
		return err
	}
	switch s.Role {
	case config.RoleSend, config.RoleReceive, config.RoleBoth:
	default:
		return fmt.Errorf("role %.20q: want send, receive or both", s.Role)
	}
	for _, q := range []spool.Quota{s.SendQuota.quota(), s.QueueQuota.quota()} {
		if min(q.Bytes, q.Reserved, q.Uploads, q.Envelopes, q.Messages, q.Metadata) < 0 {
			return errors.New("a limit is below 0")
		}
	}
	return validPatterns(s.MaySend)
}

// site returns the hub's record of an exported site.
func (s exportedSite) site() site {
	expires := time.Duration(0)
	if s.ExpiresAfter != nil {
		if expires = time.Duration(*s.ExpiresAfter); expires == 0 {
			expires = neverExpires
		}
	}
	return site{Name: s.Name, Role: s.Role, MaySend: s.MaySend, Key: s.Fingerprint,
		Created: s.Created, Removed: s.Removed,
		Quota: siteQuota{Send: s.SendQuota.quota(), Queue: s.QueueQuota.quota(),
			Expires: expires}}
}

// SitesOfExport returns the sites of an export that a hub under the root has signed.
func SitesOfExport(text []byte, root *x509.Certificate) ([]RestoredSite, error) {
	e, err := openExport(text, root)
	if err != nil {
		return nil, err
	}
	return (&restore{export: e}).report("").Sites, nil
}
