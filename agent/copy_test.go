package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/hub"
)

// copied is a second folder of a site that is stopped, with the same keys and another control
// socket.
func (s *site) copied() *site {
	s.w.t.Helper()
	twin := s.w.site(s.w.Network.Site(s.name, s.Role,
		filepath.Join(s.w.dir, string(s.name)+" twin")))
	must(s.w.t, os.CopyFS(twin.dir, os.DirFS(s.dir)))
	secrets, err := filepath.Glob(filepath.Join(twin.dir, "state", "*"))
	must(s.w.t, err)
	for _, secret := range secrets {
		info, err := os.Stat(secret)
		must(s.w.t, err)
		mode := os.FileMode(0o600)
		if info.IsDir() {
			mode = 0o700
		}
		must(s.w.t, os.Chmod(secret, mode))
	}
	must(s.w.t, os.Chmod(filepath.Join(twin.dir, "state"), 0o700))
	return twin
}

// Two copies of a lab run: both report it, and so does the hub to its admin. When one has stopped,
// the other reports it no more.
func TestTwoCopiesOfALabAreBothTold(t *testing.T) {
	t.Parallel()
	w, lab, _ := labAndCentre(t)
	lab.stop()
	twin := lab.copied()
	lab.start()
	eventually(t, "the first is connected", func() bool { return lab.status().Link.Connected })
	twin.start()
	for _, s := range []*site{lab, twin} {
		eventually(t, "the lab in "+s.dir+" is told", func() bool {
			c, text := s.status().Link.Copy, s.statusFile()
			return c != nil && c.From == "127.0.0.1" && strings.Contains(text, "TWO COPIES") &&
				strings.Contains(text, "another computer runs this site")
		})
	}
	var sites hub.SitesAnswer
	w.admin(hub.ControlSites, hub.Nothing{}, &sites)
	for _, s := range sites.Sites {
		if want := map[bool]int{true: 2, false: 0}[s.Site == "FL-LAB"]; len(s.Copies) != want {
			t.Errorf("the admin is told of %s: %q", s.Site, s.Copies)
		}
	}
	twin.stop()
}
