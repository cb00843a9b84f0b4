package envelope

import (
	"bytes"
	"hash/crc32"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/internal/id"
	"sealpost/internal/secretfile"
)

// world is a network for tests: an authority, sites with identities and encryption keys. Every run
// makes its own.
type world struct {
	dir       string
	authority *certs.Authority
	verifier  certs.Verifier
	network   id.Hash
	suite     string
	segment   int64                      // ciphertext of a segment; 0: the format's
	now       time.Time                  // when certificates are issued and envelopes spooled
	secret    func(owner id.Site) string // of a site's encryption key; nil: each makes its own
	mu        sync.Mutex                 // guards sites
	sites     map[id.Site]*site
}

type site struct {
	name     id.Site
	identity *certs.Identity
	keys     *Keys
}

func newWorld(t testing.TB, suite string) *world {
	t.Helper()
	return newWorldAt(t, t.TempDir(), suite, time.Now())
}

// newWorldAt makes a network at that time in a folder that may hold its root's key.
func newWorldAt(t testing.TB, dir, suite string, now time.Time) *world {
	t.Helper()
	root, err := certs.InitRoot(filepath.Join(dir, "root"), "TEST")
	if err != nil {
		t.Fatal(err)
	}
	authority, err := certs.InitAuthority(filepath.Join(dir, "hub"), root, now)
	if err != nil {
		t.Fatal(err)
	}
	return &world{dir: dir, authority: authority, verifier: certs.NewVerifier(root.Certificate()),
		network: authority.Network(), suite: suite, now: now, sites: map[id.Site]*site{}}
}

// site returns the site of that name, and makes it when it is new.
func (w *world) site(t testing.TB, name id.Site) *site {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.sites[name]; s != nil {
		return s
	}
	dir := filepath.Join(w.dir, string(name))
	mkdir(t, dir)
	identity, err := certs.OpenIdentity(filepath.Join(dir, "identity.key"),
		filepath.Join(dir, "chain.pem"))
	if err != nil {
		t.Fatal(err)
	}
	csr, err := identity.CSR()
	if err != nil {
		t.Fatal(err)
	}
	chain, err := w.authority.IssueSite(csr, name, w.now)
	if err != nil {
		t.Fatal(err)
	}
	if err := identity.SetChain(chain, w.network, w.now); err != nil {
		t.Fatal(err)
	}
	if w.secret != nil {
		if err := secretfile.Create(filepath.Join(dir, "recipient.key"),
			[]byte(w.secret(name)+"\n")); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := OpenKeys(filepath.Join(dir, "recipient.key"), w.suite)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{name: name, identity: identity, keys: keys}
	w.sites[name] = s
	return s
}

func (s *site) recipient() Recipient { return Recipient{Site: s.name, Key: s.keys.Recipient()} }

// opener returns an Opener of the site that trusts every identity key.
func (w *world) opener(t testing.TB, name id.Site) *Opener {
	return &Opener{
		Network: w.network, Site: name, Keys: w.site(t, name).keys, Verifier: w.verifier,
		MaxSize: 1 << 40,
		Pin:     func(id.Site, id.Hash) error { return nil },
		segment: w.segment,
	}
}

// request is an envelope of FL-LAB for the sites, under fl-lab.dat.
func (w *world) request(t testing.TB, messages []Message, to ...id.Site) SealRequest {
	t.Helper()
	slices.Sort(to)
	req := SealRequest{
		Network: w.network, Envelope: id.Random128[id.Envelope](), Sender: "FL-LAB",
		Address: id.Address{RoutingKey: "fl-lab.dat"}, Messages: messages, segment: w.segment,
	}
	for _, name := range to {
		req.Recipients = append(req.Recipients, w.site(t, name).recipient())
	}
	return req
}

// seal seals the request as its sender and returns the ciphertext with the hub's record.
func (w *world) seal(t testing.TB, req SealRequest) ([]byte, Expect, Sealed) {
	t.Helper()
	var out bytes.Buffer
	sealed, err := Seal(&out, req, w.site(t, req.Sender).identity)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), w.announce(req, out.Bytes()), sealed
}

// announce is the hub's record of a request with that ciphertext.
func (w *world) announce(req SealRequest, ciphertext []byte) Expect {
	want := Expect{Envelope: req.Envelope, Sender: req.Sender, Address: req.Address,
		Size: int64(len(ciphertext)), CRC32C: checksums(ciphertext), At: w.now}
	for _, m := range req.Messages {
		want.Messages = append(want.Messages, ExpectMessage{ID: m.ID, UID: m.UID})
	}
	return want
}

func checksums(ciphertext []byte) []uint32 {
	var sums []uint32
	for part := range slices.Chunk(ciphertext, partSize) {
		sums = append(sums, crc32.Checksum(part, castagnoli))
	}
	return sums
}

// file is a message with one file.
func file(number int64, name, content string) Message {
	return message(number, name, TypeFile, memory(name, content))
}

func message(number int64, name, kind string, entries ...Entry) Message {
	sent := time.Date(2025, 10, 8, 12, 0, 0, 0, time.UTC)
	m := Message{
		ID: id.FormatMessage("FL-LAB", "DAT", sent, number), UID: id.Random128[id.UID](),
		Sent: sent, Name: name, Type: kind,
		Entries: func(yield func(Entry, error) bool) {
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
		},
	}
	copy(m.FingerprintKey[:], id.Random128[string]())
	return m
}

func memory(path, content string) Entry {
	return Entry{
		Path: path, Size: int64(len(content)), ModTime: time.Unix(1759924800, 0),
		Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(content)), nil
		},
	}
}

func folder(path string) Entry {
	return Entry{Path: path, Dir: true, ModTime: time.Unix(1759924800, 0)}
}

// tray is a Sink that keeps all in memory.
type tray struct {
	files map[string]string // "0/data.csv" → content
	modes map[string]bool
	times map[string]time.Time
	dirs  []string

	signed []byte    // all entries
	open   *trayFile // the last file
}

func newTray() *tray {
	return &tray{files: map[string]string{}, modes: map[string]bool{},
		times: map[string]time.Time{}}
}

func (s *tray) key(message int, path string) string {
	return string(rune('0'+message%10)) + "/" + path
}

func (s *tray) Dir(message int, path string, mtime time.Time) error {
	s.dirs = append(s.dirs, s.key(message, path))
	s.times[s.key(message, path)] = mtime
	return nil
}

func (s *tray) File(message int, path string, executable bool, mtime time.Time,
	size int64) (io.WriteCloser, error) {
	key := s.key(message, path)
	s.modes[key], s.times[key] = executable, mtime
	s.open = &trayFile{tray: s, key: key}
	return s.open, nil
}

func (s *tray) Signed(entry []byte) error {
	s.signed = append(s.signed, entry...)
	return nil
}

type trayFile struct {
	bytes.Buffer
	tray *tray
	key  string
}

func (f *trayFile) Close() error {
	f.tray.files[f.key] = f.String()
	return nil
}
