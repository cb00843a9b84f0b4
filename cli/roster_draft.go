package cli

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"sealpost/certs"
	"sealpost/hub"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/spoken"
	"sealpost/statement"
)

// maxDraft bounds a file with sites: the largest export of a hub.
const maxDraft = 16 << 20

// rosterFile is a roster in the form in which users edit it.
type rosterFile struct {
	Required   bool             `toml:"required"`
	Site       []rosterFileSite `toml:"site"`
	Distrusted []rosterFileKey  `toml:"distrusted"`
}

type rosterFileSite struct {
	Name        id.Site `toml:"name"`
	Role        string  `toml:"role"`
	Fingerprint id.Hash `toml:"fingerprint"`
}

type rosterFileKey struct {
	Fingerprint id.Hash   `toml:"fingerprint"`
	Site        id.Site   `toml:"site"`
	Since       time.Time `toml:"since,omitempty"` // empty: now
}

// draft is a roster before it has a number and times.
type draft struct {
	required   bool
	sites      []statement.RosterSite
	distrusted []statement.DistrustedKey
	left       []id.Site // not on it, since they have no identity
}

// draftOf returns the draft of a roster that continues the last one.
func draftOf(last *statement.Roster) draft {
	if last == nil {
		return draft{}
	}
	return draft{last.Required, slices.Clone(last.Sites), slices.Clone(last.Distrusted), nil}
}

// readDraft reads a file with sites. Only the form of users has distrusted keys; with the others
// those of the last roster stay.
func readDraft(path string, v certs.Verifier, last *statement.Roster) (d draft, err error) {
	text, err := readLimited(path, maxDraft)
	if err != nil {
		return d, err
	}
	switch {
	case bytes.Contains(text, []byte("-----BEGIN ")):
		var sites []hub.RestoredSite
		if sites, err = hub.SitesOfExport(text, v.Root); err == nil {
			d = draftOf(last)
			d.take(sites)
		}
	case bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")):
		d, err = readSites(text, last)
	default:
		d, err = readRosterFile(text)
	}
	if err != nil {
		return d, reason.Err("roster-file", "file", path, "why", err)
	}
	return d, nil
}

// take replaces the sites by those of a hub. Only joined ones have an identity.
func (d *draft) take(sites []hub.RestoredSite) {
	d.sites = nil
	for _, s := range sites {
		switch {
		case s.State == hub.SiteRemoved:
		case s.Fingerprint == "":
			d.left = append(d.left, s.Site)
		default:
			d.sites = append(d.sites, statement.RosterSite{Site: s.Site, Identity: s.Fingerprint,
				Role: s.Role})
		}
	}
}

// readSites reads the output of hub sites --json. A hub that has a later roster than the last one
// shows that the last one is not the last.
func readSites(text []byte, last *statement.Roster) (draft, error) {
	var answer struct {
		Sites  []hub.RestoredSite `json:"sites"`
		Roster struct {
			Number int64 `json:"number"`
		} `json:"roster"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return draft{}, err
	}
	if answer.Sites == nil {
		return draft{}, reason.Err("roster-no-sites")
	}
	if n := answer.Roster.Number; n > 0 && (last == nil || n > last.Number) {
		return draft{}, reason.Err("roster-behind", "n", n)
	}
	d := draftOf(last)
	d.take(answer.Sites)
	return d, nil
}

func readRosterFile(text []byte) (draft, error) {
	var f rosterFile
	meta, err := toml.Decode(string(text), &f)
	if err != nil {
		return draft{}, err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return draft{}, reason.Err("roster-key-unknown", "key", unknown[0].String())
	}
	d := draft{required: f.Required}
	for _, s := range f.Site {
		d.sites = append(d.sites, statement.RosterSite{Site: s.Name,
			Identity: plainHash(string(s.Fingerprint)), Role: s.Role})
	}
	for _, k := range f.Distrusted {
		d.distrusted = append(d.distrusted, statement.DistrustedKey{Site: k.Site,
			Identity: plainHash(string(k.Fingerprint)), Since: k.Since.UTC()})
	}
	return d, nil
}

// plainHash returns a fingerprint without the spaces between its groups.
func plainHash(text string) id.Hash {
	return id.Hash(strings.ToLower(strings.ReplaceAll(text, " ", "")))
}

// roster returns the next roster. A key that is distrusted now is on it no more.
func (d draft) roster(in signRequest, network id.Hash, last *statement.Roster,
	now time.Time) (statement.Roster, error) {
	r := statement.Roster{V: 1, Network: network, Number: 1, Signed: now,
		Ends: now.Add(in.validFor.Duration).Truncate(time.Second), Required: d.required ||
			in.required}
	if last != nil {
		r.Number, r.Required = last.Number+1, r.Required || last.Required
		if now.Before(last.Signed) {
			return r, reason.Err("roster-clock", "now", now, "last", last.Signed)
		}
	}
	for _, text := range in.distrust {
		key, err := d.stolen(text, last)
		if err != nil {
			return r, err
		}
		d.distrusted = append(d.distrusted, key)
	}
	by := map[id.Hash]statement.DistrustedKey{}
	for _, k := range d.distrusted {
		if k.Since.IsZero() {
			k.Since = now
		}
		if _, known := by[k.Identity]; !known {
			by[k.Identity] = k
			r.Distrusted = append(r.Distrusted, k)
		}
	}
	for _, s := range d.sites {
		if _, isStolen := by[s.Identity]; !isStolen {
			r.Sites = append(r.Sites, s)
		}
	}
	slices.SortFunc(r.Sites, func(a, b statement.RosterSite) int {
		return cmp.Compare(a.Site, b.Site)
	})
	slices.SortFunc(r.Distrusted, func(a, b statement.DistrustedKey) int {
		return cmp.Compare(a.Identity, b.Identity)
	})
	return r, r.Check()
}

// stolen returns the key that --distrust names: SITE, or SITE=FINGERPRINT.
func (d draft) stolen(text string, last *statement.Roster) (k statement.DistrustedKey, err error) {
	name, print, hasPrint := strings.Cut(text, "=")
	if k.Site, err = id.ParseSite(name); err != nil {
		return k, &usageError{err}
	}
	if hasPrint {
		if k.Identity, err = id.ParseHash(string(plainHash(print))); err != nil {
			return k, &usageError{err}
		}
		return k, nil
	}
	for _, list := range [][]statement.RosterSite{draftOf(last).sites, d.sites} {
		for _, s := range list {
			if s.Site == k.Site {
				k.Identity = s.Identity
				return k, nil
			}
		}
	}
	for _, before := range slices.Concat(draftOf(last).distrusted, d.distrusted) {
		if before.Site == k.Site {
			return k, reason.Err("roster-distrusted-before", "site", k.Site, "fingerprint",
				id.Grouped(before.Identity))
		}
	}
	return k, reason.Err("roster-distrust-whom", "site", k.Site)
}

// textOf returns a roster in the form in which users edit it.
func textOf(r statement.Roster) ([]byte, error) {
	var f rosterFile
	f.Required = r.Required
	for _, s := range r.Sites {
		f.Site = append(f.Site, rosterFileSite{s.Site, s.Role, s.Identity})
	}
	for _, k := range r.Distrusted {
		f.Distrusted = append(f.Distrusted, rosterFileKey{k.Identity, k.Site, k.Since})
	}
	var b bytes.Buffer
	printf(&b, "# sealpost roster %d of the network %s\n# signed %s, valid until %s\n\n",
		r.Number, r.Network, r.Signed.Format(time.RFC3339), r.Ends.Format(time.RFC3339))
	encoder := toml.NewEncoder(&b)
	encoder.Indent = ""
	err := encoder.Encode(f)
	return b.Bytes(), err
}

// review is a roster before it is signed, beside the last one; nil: it is the first.
type review struct {
	last *statement.Roster
	next statement.Roster
	from draft
}

// printReview prints the differences of a roster from the last one.
func printReview(w io.Writer, v review) error {
	before := statement.Roster{}
	printf(w, "Roster %d of the network %s\n", v.next.Number, fingerprint(v.next.Network))
	if v.last == nil {
		fmt.Fprintln(w, "It is the first one. If there was another one before, stop, and give it "+
			"with --last.")
	} else {
		before = *v.last
		printf(w, "The last one is roster %d, signed %s.\n", before.Number,
			localTime(before.Signed))
	}
	t := newTable("CHANGE", "SITE", "ROLE", "FINGERPRINT", "WORDS")
	line := func(change string, site id.Site, role string, identity id.Hash) {
		t.add(change, site, role, fingerprint(identity), spoken.Words(identity))
	}
	same := 0
	for _, s := range v.next.Sites {
		switch old, ok := before.Find(s.Site); {
		case !ok:
			line("NEW", s.Site, s.Role, s.Identity)
		case old.Identity != s.Identity:
			line("OTHER KEY", s.Site, s.Role, s.Identity)
			line("  before", s.Site, old.Role, old.Identity)
		case old.Role != s.Role:
			line("ROLE, before "+old.Role, s.Site, s.Role, s.Identity)
		default:
			same++
		}
	}
	for _, s := range before.Sites {
		if _, ok := v.next.Find(s.Site); !ok {
			line("GONE", s.Site, s.Role, s.Identity)
		}
	}
	for _, k := range v.next.Distrusted {
		if !before.Distrusts(k.Identity) {
			line("DISTRUSTED", k.Site, "", k.Identity)
		}
	}
	for _, k := range before.Distrusted {
		if !v.next.Distrusts(k.Identity) {
			line("TRUSTED AGAIN", k.Site, "", k.Identity)
		}
	}
	fmt.Fprintln(w)
	if err := t.print(w, "No site and no key has changed."); err != nil {
		return err
	}
	printf(w, "\n%s as before, %s distrusted.\n", counted(same, "site", "sites"),
		counted(len(v.next.Distrusted), "key", "keys"))
	if v.next.Required {
		fmt.Fprintln(w, "Required: sites trust only those on the roster.")
	}
	if len(v.from.left) > 0 {
		printf(w, "Left out, since they have not joined: %s\n", siteNames(v.from.left))
	}
	var stolen []id.Site
	for _, s := range v.from.sites {
		if v.next.Distrusts(s.Identity) {
			stolen = append(stolen, s.Site)
		}
	}
	if len(stolen) > 0 {
		printf(w, "Left out, since the hub still has them with a distrusted key (sealpost hub "+
			"remove SITE): %s\n", siteNames(stolen))
	}
	_, err := printf(w, "Valid until %s.\n", localTime(v.next.Ends))
	return err
}

// verifierAt returns the verifier of the root whose certificate stands in a file or folder. The
// folder may be that of a root, or the state folder of a hub or agent.
func verifierAt(path string) (certs.Verifier, error) {
	text, file, err := readFirst(path, filepath.Join(path, "root.pem"),
		filepath.Join(path, "chain.pem"))
	if err != nil {
		return certs.Verifier{}, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err == nil && use(cert) == "root" {
			return certs.NewVerifier(cert), nil
		}
	}
	return certs.Verifier{}, reason.Err("roster-no-root", "file", file)
}
