package hub

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
	"sealpost/internal/strictjson"
	"sealpost/statement"
)

// restoreFile is an export in the state folder, from Init until the hub's first start.
const restoreFile = "restore.toml"

// RestoreReport lists the contents of the export that Init has put in place.
type RestoreReport struct {
	From   string         `json:"from"` // the file
	Made   time.Time      `json:"made"`
	Hub    string         `json:"hub"` // its name then
	Sites  []RestoredSite `json:"sites"`
	Queues int            `json:"queues"`
	// number of the lost hub's roster, and of the one that the root's folder has; 0: none
	Roster      int64 `json:"roster"`
	RosterTaken int64 `json:"roster_taken"`
	// admins and viewers on other computers
	Admins []RestoredSite `json:"admins"`
}

// RestoredSite is a site or admin of an export.
type RestoredSite struct {
	Site        id.Site `json:"site"`
	State       string  `json:"state"` // as in SiteStatus
	Role        string  `json:"role"`
	Fingerprint id.Hash `json:"fingerprint,omitempty"`
}

// restore is an export that Init puts in place.
type restore struct {
	export
	text []byte
	kept *roster // in the root's folder; nil: there is none
}

// readRestore reads the export of the options, and sets the options that it determines.
func (o *InitOptions) readRestore() (*restore, error) {
	if o.Restore == "" {
		return nil, nil
	}
	f, err := os.Open(o.Restore)
	if err != nil {
		return nil, fmt.Errorf("read the export: %w", err)
	}
	defer f.Close()
	r := &restore{}
	if r.text, err = io.ReadAll(io.LimitReader(f, maxExport)); err != nil {
		return nil, fmt.Errorf("read the export %s: %w", o.Restore, err)
	}
	if r.export, _, err = parseExport(r.text); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Restore, err)
	}
	if o.Name != "" && o.Name != r.Hub || o.Suite != "" && o.Suite != r.Suite {
		return nil, reason.Err("restore-contradicts", "hub", r.Hub, "suite", r.Suite)
	}
	o.Name, o.Suite = r.Hub, r.Suite
	if len(o.Hosts) == 0 {
		o.Hosts = r.Hosts
	}
	if o.Listen == "" {
		o.Listen = r.Listen
	}
	if r.Roster != nil && r.Roster.Required {
		o.Roster = cmp.Or(o.Roster, config.RosterRequired)
	}
	return r, nil
}

// check returns an error if the export cannot be restored with these options. Nothing is written
// before.
func (r *restore) check(o InitOptions, state string) error {
	if exists(filepath.Join(state, "spool")) {
		return reason.Err("restore-has-run", "dir", o.Dir)
	}
	root, err := o.rootCertificate(state)
	if errors.Is(err, fs.ErrNotExist) {
		return reason.Err("restore-needs-root", "network", id.Grouped(r.Network),
			"folder", o.RootDir, "why", err)
	}
	if err == nil {
		_, err = openExport(r.text, root)
	}
	if err == nil {
		err = r.readRoster(filepath.Join(o.RootDir, rosterFile), root)
	}
	return err
}

// readRoster reads the roster that the root's folder keeps, if there is one.
func (r *restore) readRoster(path string, root *x509.Certificate) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, statement.MaxRoster+2))
	if err != nil {
		return err
	}
	jws := strings.TrimSpace(string(text))
	kept, err := statement.OpenRoster(jws, certs.NewVerifier(root))
	if err != nil {
		return reason.Err("roster-file", "file", path, "why", err)
	}
	r.kept = &roster{kept, jws}
	return nil
}

// rootCertificate returns the certificate of the root under which the hub is set up. It returns
// fs.ErrNotExist if there is no authority and no root's key.
func (o InitOptions) rootCertificate(state string) (*x509.Certificate, error) {
	if o.Signed != "" {
		text, err := readSigned(o.Signed)
		if err != nil {
			return nil, err
		}
		return certs.SignedRoot(text)
	}
	a, err := certs.ReadAuthority(state)
	if err == nil {
		return a.Root(), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	root, err := o.Passphrases.OpenRoot(o.RootDir)
	if err != nil {
		return nil, err
	}
	return root.Certificate(), nil
}

// put stores the export and the roster for the hub's first start.
func (r *restore) put(state string) error {
	if r.kept != nil {
		if err := secretfile.Write(filepath.Join(state, rosterFile),
			[]byte(r.kept.jws)); err != nil {
			return err
		}
	}
	if r.Roster != nil {
		text, err := strictjson.Marshal(r.Roster)
		if err != nil {
			return err
		}
		if err := secretfile.Write(filepath.Join(state, lostRosterFile), text); err != nil {
			return err
		}
	}
	return secretfile.Write(filepath.Join(state, restoreFile), r.text)
}

func (r *restore) report(from string) *RestoreReport {
	out := &RestoreReport{From: from, Made: r.Made, Hub: r.Hub, Sites: []RestoredSite{},
		Queues: len(r.Queue), Admins: []RestoredSite{}}
	if r.Roster != nil {
		out.Roster = r.Roster.Number
	}
	if r.kept != nil {
		out.RosterTaken = r.kept.Number
	}
	for _, s := range r.Site {
		out.Sites = append(out.Sites, RestoredSite{Site: s.Name, State: s.site().state(),
			Role: s.Role, Fingerprint: s.Fingerprint})
	}
	for _, a := range r.Admin {
		state := SiteJoined
		if a.Fingerprint == "" {
			state = SiteInvited
		}
		out.Admins = append(out.Admins, RestoredSite{Site: a.Name, State: state, Role: a.Role,
			Fingerprint: a.Fingerprint})
	}
	return out
}

// restore fills the directory from the export that Init has put in place, and removes that file. It
// adds only missing items, so that a start after a crash finishes it.
func (h *Hub) restore(ctx context.Context) error {
	path := filepath.Join(h.config.State, restoreFile)
	text, err := secretfile.Read(path, maxExport)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	e, err := openExport(text, h.authority.Root())
	if err == nil && e.Suite != h.config.Suite {
		err = reason.Err("restore-contradicts", "hub", e.Hub, "suite", e.Suite)
	}
	if err == nil {
		err = h.admitExported(ctx, e)
	}
	if err != nil {
		return fmt.Errorf("restore from %s: %w", path, err)
	}
	if err := errors.Join(h.noteExport(e), os.Remove(path)); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return durable.SyncDir(h.config.State)
}

// admitExported adds the sites and queues that the directory lacks.
func (h *Hub) admitExported(ctx context.Context, e export) error {
	h.dir.change.Lock()
	defer h.dir.change.Unlock()
	t := h.dir.view()
	for _, q := range e.Queue {
		if _, found := t.queues[q.Name]; found {
			continue
		}
		if err := h.dir.putQueue(ctx, queue{Name: q.Name, Site: id.Site(q.Site),
			Bindings: merge(nil, q.Bindings)}); err != nil {
			return err
		}
	}
	for _, s := range e.Site {
		if _, found := t.sites[s.Name]; found {
			continue
		}
		if err := h.admitOne(ctx, s.site()); err != nil {
			return err
		}
	}
	for _, a := range e.Admin {
		if _, found := t.admins[a.Name]; found {
			continue
		}
		if err := h.admitExportedAdmin(ctx, a); err != nil {
			return err
		}
	}
	h.log.Info("hub restored", "made", e.Made, "sites", len(e.Site), "queues", len(e.Queue),
		"admins", len(e.Admin))
	return nil
}

// admitExportedAdmin stores an exported admin. Its key enrols without a secret, as in admitOne.
func (h *Hub) admitExportedAdmin(ctx context.Context, a exportedAdmin) error {
	if a.Fingerprint != "" {
		if err := h.mayEnrol(ctx, a.Name, a.Fingerprint); err != nil {
			return err
		}
	}
	return h.dir.putAdmin(ctx, administrator{Name: a.Name, Role: a.Role, Key: a.Fingerprint,
		Created: a.Created})
}

// mayEnrol lets a key of a site or admin enrol without a secret for some days.
func (h *Hub) mayEnrol(ctx context.Context, name id.Site, key id.Hash) error {
	return h.dir.putInvitation(ctx, invitation{Site: name, Bound: key,
		Expires: h.now().Add(invitationTime).UTC().Truncate(time.Second)})
}

// admitOne stores an exported site. As after an admission, its key enrols without a secret for some
// days: its certificate may have expired while there was no hub.
func (h *Hub) admitOne(ctx context.Context, s site) error {
	if s.state() == SiteJoined {
		if err := h.mayEnrol(ctx, s.Name, s.Key); err != nil {
			return err
		}
	}
	return h.dir.putSite(ctx, s)
}

// IsExport reports whether a file is an export of this network. It verifies no signature.
func IsExport(path string, network id.Hash) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxExport))
	if err != nil {
		return false
	}
	e, _, err := parseExport(text)
	return err == nil && e.Network == network
}
