//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"sealpost/agent"
	"sealpost/internal/control"
)

// site is one agent and its folder.
type site struct {
	*daemon
	w           *world
	name        string
	role        string
	dir         string
	outsideDir  string   // its tray or its inbox, if that is not in its folder
	bindings    []string // of its queue
	to          []*site  // the recipients of its drops
	fingerprint string
	forgot      bool // its ledger was lost, or put back from an older copy
	mixed       bool // and only half of it was
}

func (w *world) site(name, role string) *site {
	s := &site{w: w, name: name, role: role, dir: filepath.Join(w.dir, name)}
	s.daemon = newDaemon(w.t, name, filepath.Join(w.dir, name+".log"), w.hub.Command[0], "agent",
		"run", "--dir", s.dir)
	w.sites = append(w.sites, s)
	return s
}

func (s *site) config() string { return filepath.Join(s.dir, "agent.toml") }

// join joins with an invitation as a user does. Files settle at once, so that no story waits.
func (s *site) join(flags ...string) {
	s.t.Helper()
	out := sealpost(s.t, append([]string{"agent", "join", s.w.hub.Invite(s.name, s.role), "--dir",
		s.dir, "--json"}, flags...)...)
	var joined struct{ Fingerprint string }
	must(s.t, json.Unmarshal([]byte(out), &joined))
	s.fingerprint = joined.Fingerprint
	edit(s.t, s.config(), `settle = "2s"`, `settle = "0s"`)
	edit(s.t, s.config(), `reserve = "1GiB"`, `reserve = "16MiB"`)
	edit(s.t, s.config(), `sweep = "10s"`, `sweep = "2s"`)
	edit(s.t, s.config(), `log_level = "info"`, `log_level = "debug"`)
}

// Start runs the agent until it answers, or has died by itself.
func (s *site) Start(env ...string) {
	s.t.Helper()
	s.daemon.Start(env...)
	eventually(s.t, s.name+" answers", func() bool {
		if !s.running() && len(env) == 0 {
			s.t.Fatalf("%s has ended: %v", s.name, s.Ended())
		}
		return !s.running() || s.ask(agent.PathStatus, agent.StatusRequest{}, nil) == nil
	})
}

func (s *site) ask(path string, in, out any) error {
	return control.Dial(filepath.Join(s.dir, "state")).Call(context.Background(), path, in, out)
}

func (s *site) Status() (st agent.Status) {
	s.t.Helper()
	must(s.t, s.ask(agent.PathStatus, agent.StatusRequest{Latest: 1000}, &st))
	return st
}

// statusText returns the status as a user sees it, for a story that fails.
func (s *site) statusText() string {
	out, errs, _ := run(s.t, "agent", "status", "--dir", s.dir)
	return s.name + ":\n" + out + errs
}

// at names a place in the site's folder.
func (s *site) at(path ...string) string {
	return filepath.Join(append([]string{s.dir}, path...)...)
}

// inbox names a place in the site's inbox.
func (s *site) inbox(path ...string) string {
	if s.outsideDir == "" {
		return s.at(append([]string{"inbox"}, path...)...)
	}
	return filepath.Join(append([]string{s.outsideDir}, path...)...)
}

// tray names a place in the site's tray.
func (s *site) tray(path ...string) string {
	if s.outsideDir == "" {
		return s.at(path...)
	}
	return filepath.Join(append([]string{s.outsideDir}, path...)...)
}

// count returns the number of files in a folder of the site, at any depth, without sealpost's own.
func (s *site) count(folder string) int {
	s.t.Helper()
	n := 0
	s.walk(folder, func(string, fs.DirEntry) error { n++; return nil })
	return n
}

// files lists the files in a folder of the site by their path in it, apart from sealpost's own.
func (s *site) files(folder string) map[string]fs.FileInfo {
	s.t.Helper()
	list := map[string]fs.FileInfo{}
	s.walk(folder, func(path string, e fs.DirEntry) error {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		list[path] = info
		return err
	})
	return list
}

// walk visits the files in a folder of the site, apart from sealpost's own. Each may move on.
func (s *site) walk(folder string, visit func(path string, e fs.DirEntry) error) {
	s.t.Helper()
	base := s.at(folder)
	must(s.t, filepath.WalkDir(base, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case e.IsDir() && e.Name() == ".sealpost":
			return fs.SkipDir
		case e.IsDir() || e.Name() == ".sealpost-group":
			return nil
		}
		rel, err := filepath.Rel(base, path)
		return errors.Join(err, visit(rel, e))
	}))
}

// Expect waits until a file of this name from the lab lies in the inbox.
func (s *site) Expect(from *site, names ...string) {
	s.t.Helper()
	for _, name := range names {
		path := s.at("inbox", from.name, portable(name))
		eventually(s.t, s.name+" has "+name, func() bool {
			_, err := os.Lstat(path)
			return err == nil
		}, from.statusText, s.statusText)
	}
}
