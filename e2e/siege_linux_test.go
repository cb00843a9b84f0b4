package e2e

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sealpost/agent"
	"sealpost/internal/testkit"
)

// The accounts of a siege. No account of the machine has these numbers.
const (
	serviceAccount = 61001
	sharingGroup   = 61002
	malloryAccount = 61003
	carolAccount   = 61004
)

// startLimit is how long an agent may take to start, whatever lies in its folders.
const startLimit = 45 * time.Second

// siege is a world whose agents run under an account of their own, as `agent install` does it. They
// share their folders with a group: carol drops files, and mallory attacks the agents.
type siege struct {
	*world
	lab            *site
	carol, mallory *user
	baits

	shared  []string // folders in which the group works: only their effects outside are judged
	dropped map[[sha256.Size]byte]dropped
	seed    uint64 // of carol's next drop

	before  map[string]string // see Watches
	secrets *canary
	judged  bool
}

// baits are folders and files that lie outside of all trays and inboxes.
type baits struct {
	service string   // a folder of the service, closed to others
	one     string   // a folder in it with one file, results.csv
	many    string   // a folder in it with files that have the names of dropped ones
	empty   string   // an empty folder in it
	secret  string   // a file in it
	roots   string   // a folder of root, to which the service has access
	files   []string // every file of these, and others that only the service can read
}

// dropped is a file that carol has dropped.
type dropped struct {
	path string // in its message
	to   []*site
}

func newSiege(t *testing.T) *siege {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root may act as other accounts")
	}
	dir, err := os.MkdirTemp("", "siege-") // short, because it is in the names of sockets
	must(t, err)
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the world: %v", err)
		}
	})
	must(t, os.Mkdir(filepath.Join(dir, "w"), 0o755))
	s := &siege{world: newWorldIn(t, filepath.Join(dir, "w"), program), seed: 1}
	s.dropped = map[[sha256.Size]byte]dropped{}
	t.Cleanup(func() {
		if t.Failed() && !s.judged && s.before != nil {
			problems := slices.Concat(s.leaks(), s.changes())
			t.Logf("siege, so far %d problems:\n%s", len(problems),
				strings.Join(problems[:min(mostProblems, len(problems))], "\n"))
		}
	})
	s.mallory, s.carol = newUser(t, s.dir, "mallory", malloryAccount),
		newUser(t, s.dir, "carol", carolAccount)
	s.layBaits()
	return s
}

func (s *siege) layBaits() {
	s.t.Helper()
	s.service, s.roots = filepath.Join(s.dir, "service"), filepath.Join(s.dir, "root's")
	in := func(path string) string { return filepath.Join(s.service, path) }
	s.one, s.many, s.empty, s.secret = in("one"), in("many"), in("empty"), in("secret.txt")
	for _, dir := range []string{s.service, s.one, s.many, s.empty, in("many/sub"), in("many/tmp"),
		s.roots} {
		must(s.t, os.Mkdir(dir, 0o700))
	}
	walkAll(s.t, s.service, func(path string) {
		must(s.t, os.Lchown(path, serviceAccount, sharingGroup))
	})
	must(s.t, admit(s.roots, aclLine{aclUser, 7, serviceAccount}))
	s.Bait(filepath.Join(s.roots, "results.csv"), 0)
	s.Bait(s.secret, serviceAccount)
	for dir, names := range map[string][]string{
		"one": {"results.csv"}, "many": {"results.csv", "identity.key", "tmp/kept.csv"},
		"many/sub": {"one.csv", "two.csv"},
	} {
		for _, name := range names {
			s.Bait(in(filepath.Join(dir, name)), serviceAccount)
		}
	}
	for n := range 20 {
		s.Bait(in(fmt.Sprintf("many/mallory %d.csv", n)), serviceAccount)
		s.Bait(in(fmt.Sprintf("many/carol %d %d.csv", n/10, n%10)), serviceAccount)
	}
}

// Bait makes a file that only its owner can read.
func (s *siege) Bait(path string, owner int) {
	s.t.Helper()
	must(s.t, errors.Join(os.WriteFile(path, []byte(canaryOf(path)), 0o600),
		os.Chown(path, owner, sharingGroup)))
	s.files = append(s.files, path)
}

// canaryOf returns the content of a bait, found nowhere else.
func canaryOf(path string) string {
	return fmt.Sprintf("CANARY %x of %s\n", sha256.Sum256([]byte(path)), filepath.Base(path))
}

// SharedLab lets the lab join and runs its agent. Its tray is shared with the group.
func (s *siege) SharedLab(to ...*site) *site {
	s.t.Helper()
	return s.SharedLabAt("", to...)
}

// SharedLabAt does the same with a tray that lies in a folder of mallory's.
func (s *siege) SharedLabAt(tray string, to ...*site) *site {
	s.t.Helper()
	s.lab = s.NewLab("FL-LAB", to...)
	edit(s.t, s.lab.config(), `folder_settle = "1m"`, `folder_settle = "0s"`)
	edit(s.t, s.lab.config(), `sweep = "2s"`, `sweep = "100ms"`)
	if tray != "" {
		s.lab.outsideDir = tray
		edit(s.t, s.lab.config(), `dir = "."`, fmt.Sprintf("dir = %q", tray))
		s.ofMallory(tray)
	}
	s.lab.runAsService()
	for _, folder := range trayFolders {
		s.share(s.lab.tray(folder))
	}
	s.lab.Start()
	return s.lab
}

// trayFolders are the folders of a tray.
var trayFolders = []string{"outbox", "sending", "delivered", "failed"}

// SharedCentre lets a centre join and runs its agent. Its inbox is shared with the group.
func (s *siege) SharedCentre(name string) *site {
	s.t.Helper()
	return s.SharedCentreAt(name, "")
}

// SharedCentreAt does the same with an inbox that lies in a folder of mallory's.
func (s *siege) SharedCentreAt(name, inbox string) *site {
	s.t.Helper()
	c := s.site(name, "receive")
	c.bindings = []string{"fl-lab.*"}
	c.join()
	s.hub.Bind(queueOf(name), c.bindings...)
	if inbox != "" {
		c.outsideDir = inbox
		edit(s.t, c.config(), `dir = "inbox"`, fmt.Sprintf("dir = %q", inbox))
		s.ofMallory(filepath.Dir(inbox))
	}
	c.runAsService()
	s.share(c.inbox())
	c.Start()
	return c
}

// ofMallory makes a folder of mallory's to which the service has access. `agent install` leaves the
// owner of such a folder.
func (s *siege) ofMallory(dir string) {
	s.t.Helper()
	must(s.t, errors.Join(os.Mkdir(dir, 0o755), os.Chown(dir, malloryAccount, malloryAccount)))
	must(s.t, admit(dir, aclLine{aclUser, 7, serviceAccount}, aclLine{aclGroup, 5, sharingGroup}))
}

// runAsService gives the site's folder to the service, and has the agent run as its systemd unit
// runs it.
func (s *site) runAsService() {
	s.t.Helper()
	walkAll(s.t, s.dir, func(path string) {
		must(s.t, os.Lchown(path, serviceAccount, sharingGroup))
	})
	must(s.t, os.Chmod(s.dir, 0o750))
	s.Attributes.Credential = &syscall.Credential{Uid: serviceAccount, Gid: sharingGroup,
		Groups: []uint32{serviceAccount}}
	s.Attributes.AmbientCaps = []uintptr{unix.CAP_LEASE}
	s.Command = append([]string{"/bin/sh", "-c", `umask 0007; exec "$0" "$@"`}, s.Command...)
}

// share makes a folder and shares it as `agent install` does. It belongs to the service, and the
// group may do everything in it, and with everything that is made in it.
func (s *siege) share(folder string) {
	s.t.Helper()
	must(s.t, os.MkdirAll(folder, 0o755))
	must(s.t, os.Chown(folder, serviceAccount, sharingGroup))
	must(s.t, os.Chmod(folder, 0o770|os.ModeSetgid))
	err := admit(folder, aclLine{aclGroup, 7, sharingGroup})
	if errors.Is(err, unix.ENOTSUP) {
		s.t.Skipf("SKIPPED: the file system of %s has no access lists", s.dir)
	}
	must(s.t, err)
	inherited := aclOf(aclLine{aclOwner, 7, aclNone}, aclLine{aclUser, 7, serviceAccount},
		aclLine{aclOwnerGroup, 7, aclNone},
		aclLine{aclGroup, 7, sharingGroup}, aclLine{aclMask, 7, aclNone},
		aclLine{aclOther, 0, aclNone})
	must(s.t, unix.Setxattr(folder, "system.posix_acl_default", inherited, 0))
	s.shared = append(s.shared, folder)
}

// The tags of lines of an access list are the kernel's. The last number is that of a line without
// an account.
const (
	aclOwner, aclUser, aclOwnerGroup, aclGroup, aclMask, aclOther = 1, 2, 4, 8, 16, 32

	aclNone = 0xffffffff
)

// aclLine is one line of an access list.
type aclLine struct {
	tag, perm uint16
	id        uint32
}

func aclOf(lines ...aclLine) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, l := range lines {
		b = binary.LittleEndian.AppendUint16(b, l.tag)
		b = binary.LittleEndian.AppendUint16(b, l.perm)
		b = binary.LittleEndian.AppendUint32(b, l.id)
	}
	return b
}

// admit gives accounts and groups rights to a folder that has no access list yet.
func admit(folder string, more ...aclLine) error {
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	perm := uint16(info.Mode().Perm())
	lines := append([]aclLine{{aclOwner, perm >> 6, aclNone},
		{aclOwnerGroup, perm >> 3 & 7, aclNone}, {aclMask, 7, aclNone},
		{aclOther, perm & 7, aclNone}}, more...)
	slices.SortFunc(lines, func(a, b aclLine) int { return int(a.tag) - int(b.tag) })
	return unix.Setxattr(folder, "system.posix_acl_access", aclOf(lines...), 0)
}

// CarolDrops has carol drop files for all centres of the lab. names is a pattern for their numbers.
func (s *siege) CarolDrops(names string, count int, size int64) {
	s.t.Helper()
	s.carolDrops(s.lab.tray("outbox"), names, count, size, s.lab.to)
}

// CarolDropsFor has carol drop files into the outbox folder of one centre.
func (s *siege) CarolDropsFor(centre *site, names string, count int, size int64) {
	s.t.Helper()
	s.carolDrops(s.lab.tray("outbox", "@"+centre.name), names, count, size, []*site{centre})
}

func (s *siege) carolDrops(into, names string, count int, size int64, to []*site) {
	s.t.Helper()
	a := act{Do: "drop", Path: into, To: "carol " + names, From: s.carol.home, Count: count,
		Size: size, Seed: s.seed}
	for i := range count {
		s.dropped[sha256.Sum256(content(s.seed+uint64(i), size))] = dropped{fmt.Sprintf(a.To, i),
			to}
	}
	s.seed += uint64(count)
	s.carol.does(a)
}

// CarolDropsFolder has carol drop a folder for all centres of the lab.
func (s *siege) CarolDropsFolder(name string) {
	s.t.Helper()
	a := act{Do: "drop folder", Path: s.lab.tray("outbox"), To: "carol " + name, Size: smallFile,
		Seed: s.seed}
	for i, file := range folderFiles {
		s.dropped[sha256.Sum256(content(s.seed+uint64(i), a.Size))] = dropped{
			filepath.Join(a.To, file), s.lab.to}
	}
	s.seed += uint64(len(folderFiles))
	s.carol.does(a)
}

// Restart kills the agent and starts it again. Nothing in its folders keeps it from starting.
func (s *site) Restart() {
	s.t.Helper()
	if s.running() {
		s.Kill()
	}
	s.daemon.Start()
	eventuallyWithin(s.t, startLimit, s.name+" starts, whatever lies in its folders", func() bool {
		if !s.running() {
			s.t.Fatalf("%s does not start: %v\n%s", s.name, s.Ended(), testkit.Tail(s.File, 3))
		}
		return s.ask(agent.PathStatus, agent.StatusRequest{}, nil) == nil
	})
}

// SealsNothing stops the hub and restarts the lab, so that dropped files stay in sending until the
// hub starts.
func (s *siege) SealsNothing() {
	s.t.Helper()
	s.hub.Stop()
	s.lab.Restart()
}

// Proves waits until a new file of carol's has arrived everywhere: the agents still work.
func (s *siege) Proves() {
	s.t.Helper()
	name := fmt.Sprintf("proof %d.csv", s.seed)
	s.CarolDrops(name+"%.0d", 1, smallFile)
	for _, c := range s.lab.to {
		eventually(s.t, c.name+" has "+name, func() bool {
			_, err := os.Lstat(c.inbox("FL-LAB", "carol "+name))
			return err == nil
		}, s.standing)
	}
}

// ProvesAgain has the lab look at everything it has, twice from a start, before the verdict.
func (s *siege) ProvesAgain() {
	s.t.Helper()
	for range 2 {
		s.Proves()
		s.lab.Restart()
	}
	s.Proves()
}

// Arrives waits until everything of carol's is delivered.
func (s *siege) Arrives() {
	s.t.Helper()
	ended := func(states string) int {
		return s.lab.sum(`SELECT count(*) FROM message WHERE name LIKE 'carol %' AND state IN (` +
			states + `)`)
	}
	eventually(s.t, "everything of carol's is delivered", func() bool {
		return ended(`'claimed', 'taken', 'sealed', 'published'`) == 0 && len(s.missing()) == 0
	}, func() string {
		return fmt.Sprintf("%d messages are delivered, %d withdrawn, %d have failed; missing: %s",
			ended(`'delivered'`), ended(`'withdrawn'`), ended(`'failed'`), few(s.missing()))
	}, s.standing)
	// A folder in which something was swapped between its claim and its move is another one than
	// was claimed: it is claimed anew.
	anew := s.lab.sum(`SELECT count(*) FROM message m
		WHERE name LIKE 'carol %' AND state = 'withdrawn' AND type = 'folder' AND EXISTS
		(SELECT 1 FROM message n WHERE n.file = m.file AND n.name = m.name AND n.seq > m.seq
			AND n.state = 'delivered')`)
	if n := ended(`'failed', 'withdrawn'`) - anew; n > 0 {
		s.t.Errorf("%d messages of carol's were given up, though only the folders around them "+
			"were swapped", n)
	}
}

// Calms ends the storm, which must have been one, and restarts agents to look at its remains.
func (s *siege) Calms(least int, sites ...*site) {
	s.t.Helper()
	done := s.mallory.calms()
	s.t.Logf("the storm: %v", done)
	if done["swapped"] < least {
		s.t.Errorf("mallory swapped things only %d times", done["swapped"])
	}
	for _, a := range sites {
		a.Restart()
	}
}

// inStorm returns how many of many files are dropped in a storm: a third of them in a short run.
func inStorm(many int) int {
	if soak {
		return many
	}
	return many / 3
}

// stormSeed returns the same seed in each short run, and logs the one of a long run.
func (s *siege) stormSeed() uint64 {
	if !soak {
		return 1
	}
	seed := uint64(time.Now().UnixNano())
	s.t.Logf("the storm's seed is %d", seed)
	return seed
}

// standing returns the status of all sites, for a story that fails.
func (s *siege) standing() string {
	var all []string
	for _, a := range s.sites {
		all = append(all, a.statusText())
	}
	return strings.Join(all, "\n")
}
