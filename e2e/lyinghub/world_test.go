package lyinghub

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"sealpost/agent"
	"sealpost/agent/outbox"
	"sealpost/certs"
	"sealpost/config"
	"sealpost/internal/id"
	"sealpost/internal/testkit"
	"sealpost/internal/testnet"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(
		"github.com/golang/glog.(*fileSink).flushDaemon"))
}

// The words of every story.
var (
	must       = testkit.Must
	eventually = testkit.Eventually
)

// world is a network, the liar in front of its hub, and sites that know the liar only.
type world struct {
	*testnet.Network
	t    *testing.T
	liar *liar
}

// newWorld lets the test run beside others: mostly it waits, as for a delivery that was handed
// back.
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	w := &world{Network: testnet.New(t, testnet.Options{}), t: t}
	w.liar = newLiar(w)
	return w
}

// invite invites a site to the liar.
func (w *world) invite(site id.Site, role string) certs.Invitation {
	w.t.Helper()
	i := w.Hub.Invite(site, role)
	i.Hub = []string{w.liar.addr}
	return i
}

// site is one agent and its folder.
type site struct {
	*testnet.Site
	w *world
}

func (w *world) join(name id.Site, role string, approve ...string) *site {
	w.t.Helper()
	s := &site{w.JoinWith(w.invite(name, role), approve...), w}
	s.Start()
	return s
}

// newKey gives a site that has lost its recipient key another.
func (s *site) newKey() {
	s.T.Helper()
	cfg, err := config.LoadAgent(config.AgentFile(s.Dir))
	must(s.T, err)
	_, err = agent.NewKey(cfg)
	must(s.T, err)
}

// network is a lab that sends to one centre, and another centre that is not approved.
func network(t *testing.T) (w *world, lab, centre, other *site) {
	t.Helper()
	w = newWorld(t)
	centre, other = w.join("CA-RC", "receive"), w.join("SF-RC", "receive")
	w.Hub.Bind("ca_rc_queue", "fl-lab.*")
	return w, w.join("FL-LAB", "send", "CA-RC"), centre, other
}

// drop writes a file into the outbox.
func (s *site) drop(name, content string) {
	s.T.Helper()
	s.Drop(name, []byte(content))
}

// reconsider makes a lab ask at once again about its route, as it does by itself after a while.
func (s *site) reconsider(approve ...string) {
	s.T.Helper()
	s.Call(agent.PathApprove, agent.ApproveRequest{Sites: approve}, nil)
}

// waits waits until the lab's reason for sending nothing has these words.
func (s *site) waits(words ...string) {
	s.T.Helper()
	var why string
	eventually(s.T, "it waits: "+strings.Join(words, ", "), func() bool {
		why = s.Status().Outbox.Blocked["fl-lab.dat"].String()
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(why, w) })
	})
}

// message returns the latest message of a lab.
func (s *site) message() outbox.Message {
	s.T.Helper()
	list := s.Status().Outbox.Latest
	if len(list) == 0 {
		return outbox.Message{}
	}
	return list[0]
}

// has waits until the inbox holds exactly these files, given as path and content.
func (s *site) has(files ...string) {
	s.T.Helper()
	var got []string
	eventually(s.T, string(s.Name)+" has "+strings.Join(files, ", "),
		func() bool { got = s.inbox(); return len(got) >= len(files) })
	slices.Sort(files)
	if !slices.Equal(got, files) {
		s.T.Fatalf("%s has %q, and should have %q", s.Name, got, files)
	}
}

// inbox lists the files in the inbox: "FL-LAB/data.csv: content", sorted.
func (s *site) inbox() (list []string) {
	s.T.Helper()
	for _, path := range s.Inbox() {
		content, err := os.ReadFile(filepath.Join(s.Dir, "inbox", path))
		must(s.T, err)
		list = append(list, path+": "+string(content[:min(len(content), 40)]))
	}
	slices.Sort(list)
	return list
}

// tray waits until a folder of the lab's tray holds exactly these files.
func (s *site) tray(folder string, names ...string) {
	s.T.Helper()
	eventually(s.T, strings.Join(names, ", ")+" in "+folder, func() bool {
		list := slices.DeleteFunc(s.Tray(folder),
			func(name string) bool { return name == "WHY.txt" })
		return slices.Equal(list, names)
	})
}

// why waits until a file of this name has failed, and returns the note beside it.
func (s *site) why(name string) (text string) {
	s.T.Helper()
	eventually(s.T, name+" has failed", func() bool {
		places, err := filepath.Glob(filepath.Join(s.Dir, "failed", "*", name))
		must(s.T, err)
		if len(places) != 1 {
			return false
		}
		note, err := os.ReadFile(filepath.Join(filepath.Dir(places[0]), "WHY.txt"))
		text = string(note)
		return err == nil
	})
	return text
}

func random(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return string(b)
}
