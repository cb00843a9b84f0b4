package hub

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// InitOptions configure a new hub.
type InitOptions struct {
	Dir     string   // the hub's folder
	Name    string   // such as DC-HQ
	Hosts   []string // names and addresses under which agents reach it, without a port
	Listen  string   // default ":7443"
	RootDir string   // the root's folder; default DIR-root beside the hub's folder
	Suite   string   // hybrid or x25519; default hybrid
	Roster  string   // optional or required; default optional
	Restore string   // the file of an export, for a new hub in the place of a lost one
	Signed  string   // the file of a signed chain, for an authority whose root is elsewhere
	Now     time.Time
	// of the root's key, old or new, and of the issuing authority's
	Passphrases certs.Passphrases
}

// InitReport lists the files that Init made and found.
type InitReport struct {
	Dir      string   `json:"dir"`
	RootDir  string   `json:"root_dir"` // empty: the root is elsewhere
	Network  id.Hash  `json:"network"`
	Suite    string   `json:"suite"`
	Listen   string   `json:"listen"`
	Made     []string `json:"made"`     // files
	Renewed  []string `json:"renewed"`  // files of certificates that were replaced
	Existing []string `json:"existing"` // files, unchanged
	// end of the issuing authority, which no certificate outlives
	AuthorityEnds time.Time `json:"authority_expires"`
	// whether the keys are encrypted; absent for a root's key that is elsewhere
	RootEncrypted    *bool `json:"root_encrypted,omitempty"`
	IssuingEncrypted bool  `json:"issuing_encrypted"`
	DiskFree         int64 `json:"disk_free"`
	Reserve          int64 `json:"reserve"` // below which the hub takes nothing new
	Usual            int64 `json:"usual_reserve"`
	// the export that the hub's first start restores
	Restored *RestoreReport `json:"restored,omitempty"`
}

// Init makes a hub: root (if there is none), issuing authority, hub identity and certificate, and
// hub.toml. It may be repeated: it keeps existing files and makes missing ones. Only the
// certificate is issued again, if hub.toml names other hosts. It checks the options before it
// writes anything.
func Init(o InitOptions) (InitReport, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return InitReport{}, fmt.Errorf("hub init: %w", err)
	}
	o.Dir = dir
	if o.RootDir == "" {
		o.RootDir = dir + "-root"
	}
	if o.RootDir, err = filepath.Abs(o.RootDir); err != nil {
		return InitReport{}, fmt.Errorf("hub init: %w", err)
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	old, err := o.readRestore()
	if err != nil {
		return InitReport{}, fmt.Errorf("hub init: %w", err)
	}
	c, err := o.config()
	if err == nil {
		err = o.check(c)
	}
	if err == nil && old != nil {
		err = old.check(o, stateOf(dir, c))
	}
	if err != nil {
		return InitReport{}, fmt.Errorf("hub init: %w", err)
	}
	r := InitReport{Dir: dir, RootDir: o.RootDir, Suite: c.Suite, Listen: c.Listen}
	if o.Signed != "" {
		r.RootDir = ""
	}
	files := r.files(stateOf(dir, c))
	before := certificatesIn(files)
	if err := o.make(c, old, &r); err != nil {
		return r, fmt.Errorf("hub init: %w", err)
	}
	r.sort(files, before)
	r.Reserve, r.Usual = int64(c.Spool.Reserve), int64(config.DefaultHub().Spool.Reserve)
	if r.DiskFree, err = freeAt(o.Dir); err != nil {
		return r, fmt.Errorf("hub init: %w", err)
	}
	if err := r.inspectKeys(stateOf(dir, c)); err != nil {
		return r, fmt.Errorf("hub init: %w", err)
	}
	return r, nil
}

// certificatesIn returns the content of the existing files with certificates, and "" for each other
// existing file.
func certificatesIn(files []string) map[string]string {
	found := map[string]string{}
	for _, path := range files {
		if exists(path) {
			found[path] = ""
		}
		if text, err := os.ReadFile(path); err == nil && filepath.Ext(path) == ".pem" {
			found[path] = string(text)
		}
	}
	return found
}

// sort puts the files into the lists of the report. Before holds those that existed.
func (r *InitReport) sort(files []string, before map[string]string) {
	after := certificatesIn(files)
	for _, path := range files {
		text, isThere := after[path]
		old, wasThere := before[path]
		switch {
		case !isThere:
		case !wasThere:
			r.Made = append(r.Made, path)
		case text != old:
			r.Renewed = append(r.Renewed, path)
		default:
			r.Existing = append(r.Existing, path)
		}
	}
}

// inspectKeys notes which of the keys on this computer are encrypted.
func (r *InitReport) inspectKeys(state string) (err error) {
	if path := filepath.Join(r.RootDir, rootKeyFile); r.RootDir != "" && exists(path) {
		isEncrypted, err := certs.IsEncrypted(path)
		if err != nil {
			return err
		}
		r.RootEncrypted = &isEncrypted
	}
	r.IssuingEncrypted, err = certs.IsEncrypted(filepath.Join(state, issuingKeyFile))
	return err
}

// config returns the existing configuration if it agrees with the options, or a new one.
func (o InitOptions) config() (config.Hub, error) {
	path := config.HubFile(o.Dir)
	if _, err := os.Stat(path); err == nil {
		c, err := config.LoadHub(path)
		if err != nil {
			return c, err
		}
		if c.Name != o.Name || o.Suite != "" && o.Suite != c.Suite {
			return c, fmt.Errorf("%s is there already, for hub %s with the suite %s; choose "+
				"another folder, or change that file", path, c.Name, c.Suite)
		}
		if len(o.Hosts) > 0 && !hasSameHosts(o.Hosts, c.Hosts) {
			return c, fmt.Errorf("%s is there already, and says hosts = %q; change that file, "+
				"and start the hub again", path, c.Hosts)
		}
		return c, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return config.Hub{}, err
	}
	if _, err := id.ParseSite(o.Name); err != nil {
		return config.Hub{}, reason.Err("init-bad-value", "why", err)
	}
	c := config.DefaultHub()
	c.Name, c.Hosts = o.Name, o.Hosts
	free, err := freeAt(o.Dir)
	if err != nil {
		return config.Hub{}, err
	}
	c.Spool = config.SpoolFor(free)
	if o.Listen != "" {
		c.Listen = o.Listen
	}
	if _, err := net.ResolveTCPAddr("tcp", c.Listen); err != nil {
		return config.Hub{}, reason.Err("init-bad-value", "why",
			fmt.Errorf("listen on %q: %w", c.Listen, err))
	}
	if o.Suite != "" {
		c.Suite = o.Suite
	}
	if o.Roster != "" {
		c.Roster = o.Roster
	}
	return c, nil
}

// probeSize is the room that Init needs on each disk, with much to spare.
const probeSize = 64 << 10

// check finds the faults of the options and of the disks before Init writes anything.
func (o InitOptions) check(c config.Hub) error {
	if file := config.OfOtherUse(o.Dir, config.HubFile(o.Dir)); file != "" {
		return reason.Err("remote-folder-used", "dir", o.Dir, "has", file)
	}
	if err := cmp.Or(certs.CheckHosts(c.Hosts), config.CheckHub(c)); err != nil {
		return reason.Err("init-bad-value", "why", err)
	}
	state := stateOf(o.Dir, c)
	if err := CheckSuite(state, c.Suite); err != nil {
		return err
	}
	if err := o.checkKeys(state); err != nil {
		return err
	}
	folders := []string{o.Dir, state}
	switch _, err := Passphrases(c, o.Passphrases).OpenAuthority(state); {
	case errors.Is(err, fs.ErrNotExist) && o.Signed != "":
	case errors.Is(err, fs.ErrNotExist):
		folders = append(folders, o.RootDir)
	case err != nil:
		return err
	}
	for _, folder := range folders {
		if err := durable.TryWrite(above(folder), probeSize); err != nil {
			return reason.Err("init-cannot-write", "folder", folder, "why", err)
		}
	}
	return nil
}

// checkKeys refuses a signed chain without its key, and a passphrase that a new issuing key cannot
// have.
func (o InitOptions) checkKeys(state string) error {
	path := filepath.Join(state, issuingKeyFile)
	switch {
	case exists(path):
		return nil
	case o.Signed != "":
		return reason.Err("signed-no-key", "path", o.Signed, "key", path)
	case o.Passphrases.New == nil:
		return nil
	}
	text, err := o.Passphrases.New(path)
	if err == nil && len(text) > 0 {
		err = certs.CheckPassphrase(text)
	}
	return err
}

// above returns the folder, or the nearest existing one above it.
func above(dir string) string {
	for !exists(dir) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	return dir
}

// freeAt returns the free bytes of the volume of a folder, which may be missing.
func freeAt(dir string) (int64, error) { return durable.Free(above(dir)) }

// make makes the missing files. The configuration comes last: if it exists, all others do.
func (o InitOptions) make(c config.Hub, old *restore, r *InitReport) error {
	state := stateOf(o.Dir, c)
	authority, err := o.authority(state, Passphrases(c, o.Passphrases))
	if err != nil {
		return err
	}
	r.Network, r.AuthorityEnds = authority.Network(), authority.Issuing().NotAfter.UTC()
	identity, err := certs.OpenIdentity(filepath.Join(state, keyFile),
		filepath.Join(state, chainFile))
	if err != nil {
		return err
	}
	if !identity.HasChain() || !hasExactHosts(identity.Chain()[0], c.Hosts) ||
		!identity.Chain()[1].Equal(authority.Issuing()) {
		if err := authority.IssueHub(identity, c.Name, c.Hosts, o.Now); err != nil {
			return err
		}
	}
	if old != nil {
		if err := old.put(state); err != nil {
			return err
		}
		r.Restored = old.report(o.Restore)
	}
	path := config.HubFile(o.Dir)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := noteSuite(state, c.Suite); err != nil {
		return err
	}
	if err := config.WriteHub(path, c); err != nil {
		return err
	}
	if _, err := config.LoadHub(path); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// authority opens the issuing authority, or makes it under the root. An existing authority does not
// need the root, whose folder may be offline.
func (o InitOptions) authority(state string, p certs.Passphrases) (*certs.Authority, error) {
	if o.Signed != "" {
		text, err := readSigned(o.Signed)
		if err != nil {
			return nil, err
		}
		a, err := p.PutAuthority(state, text, o.Now)
		if err != nil {
			return nil, reason.Err("signed-unusable", "path", o.Signed, "why", err)
		}
		return a, nil
	}
	a, err := p.OpenAuthority(state)
	if !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	root, err := p.InitRoot(o.RootDir, o.Name)
	if err != nil {
		return nil, err
	}
	if a, err = p.InitAuthority(state, root, o.Now); err != nil {
		return nil, err
	}
	return a, durable.WriteFile(filepath.Join(state, rootFolderFile), []byte(o.RootDir+"\n"),
		0o600)
}

// readSigned reads the file of a signed chain.
func readSigned(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSigned))
}

// maxSigned limits the bytes of a signed chain: two certificates have about 1,300.
const maxSigned = 32 << 10

// Request is a request for the certificate of a hub's issuing authority.
type Request struct {
	PEM []byte
	Key id.Hash // its fingerprint
}

// RequestAuthority returns the request of the hub in a folder, whose root is elsewhere. It makes a
// missing issuing key, and nothing else.
func RequestAuthority(dir string, ask certs.Passphrases) (r Request, err error) {
	if file := config.OfOtherUse(dir, config.HubFile(dir)); file != "" {
		return r, reason.Err("remote-folder-used", "dir", dir, "has", file)
	}
	c, err := config.LoadHub(config.HubFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		c, err = config.DefaultHub(), nil
	}
	if err != nil {
		return r, err
	}
	if r.PEM, err = Passphrases(c, ask).RequestAuthority(stateOf(dir, c)); err != nil {
		return r, err
	}
	r.Key, err = certs.KeyOfCSR(r.PEM)
	return r, err
}

func stateOf(dir string, c config.Hub) string {
	if filepath.IsAbs(c.State) {
		return c.State
	}
	return filepath.Join(dir, c.State)
}

// files returns the paths of all files that Init makes, in order.
func (r InitReport) files(state string) []string {
	var root []string
	if r.RootDir != "" {
		root = []string{filepath.Join(r.RootDir, rootKeyFile),
			filepath.Join(r.RootDir, "root.pem")}
	}
	return append(root,
		filepath.Join(state, issuingKeyFile), filepath.Join(state, "issuing.pem"),
		filepath.Join(state, keyFile), filepath.Join(state, chainFile),
		config.HubFile(r.Dir))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
