//go:build unix

package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sealpost/config"
	"sealpost/internal/reason"
)

// put makes a file of this mode, whatever the umask.
func put(path string, mode os.FileMode) error {
	return errors.Join(os.WriteFile(path, []byte("x"), mode), os.Chmod(path, mode))
}

func TestLoosePermissionsAreNamed(t *testing.T) {
	const annID = 61003
	state := func(o *Options, name string) string { return filepath.Join(o.Config.State, name) }
	above := func(o *Options) string { return filepath.Dir(o.Config.State) }
	chmod := func(path func(o *Options) string, mode os.FileMode) func(o *Options) error {
		return func(o *Options) error { return os.Chmod(path(o), mode) }
	}
	chown := func(path func(o *Options) string) func(o *Options) error {
		return func(o *Options) error { return os.Chown(path(o), annID, annID) }
	}
	below := func(name string) func(o *Options) string {
		return func(o *Options) string { return state(o, name) }
	}
	configFile := func(o *Options) string { return config.AgentFile(o.Dir) }
	// folder makes a folder below the state folder, and a file in it unless that is empty.
	folder := func(name string, mode os.FileMode, file string) func(o *Options) error {
		return func(o *Options) error {
			err := errors.Join(os.Mkdir(state(o, name), 0o700), os.Chmod(state(o, name), mode))
			if file != "" {
				err = errors.Join(err, put(state(o, filepath.Join(name, file)), 0o640))
			}
			return err
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(o *Options) error
		check string
		level Level
		says  string // with %s for the site's folder
		root  bool
	}{
		{"state folder", chmod(below(""), 0o755), "permissions of state", Fail,
			"chmod 700 %s/state", false},
		{"file", chmod(below("chain.pem"), 0o644), "permissions of state/chain.pem", Warn,
			"chmod 600 %s/state/chain.pem", false},
		{"folder", folder("sealed", 0o770, ""), "permissions of state/sealed", Warn,
			"chmod 700 %s/state/sealed", false},
		{"file in a folder", folder("sealed", 0o700, "e1"), "permissions of state/sealed/e1", Warn,
			"chmod 600 %s/state/sealed/e1", false},
		{"key", func(o *Options) error { return put(state(o, "claims.key"), 0o640) },
			"permissions of state/claims.key", Fail, "chmod 600 %s/state/claims.key", false},
		{"second name", func(o *Options) error {
			other := filepath.Join(above(o), "other")
			return errors.Join(put(other, 0o644), os.Link(other, state(o, "other")))
		}, "permissions of state/other", Warn, "-samefile %s/state/other", false},
		{"another account's file", func(o *Options) error {
			return errors.Join(put(state(o, "ledger.db"), 0o600), chown(below("ledger.db"))(o))
		}, "permissions of state/ledger.db", Fail, "belongs to the account 61003", true},
		{"way to the state folder", chmod(above, 0o757), "way to folder state", Fail,
			"chmod o-w %s", false},
		{"owner of the way", chown(above), "way to folder state", Fail, "chown -h root %s", true},
		{"way to the outbox", func(o *Options) error {
			tray := filepath.Join(above(o), "tray")
			o.Config.Outbox.Dir = tray
			return errors.Join(os.MkdirAll(filepath.Join(tray, "outbox"), 0o700),
				os.Chmod(tray, 0o757))
		}, "way to folder outbox", Warn, "chmod o-w %s/tray", false},
		{"way to the inbox", func(o *Options) error {
			home := filepath.Join(above(o), "of ann")
			o.Config.Inbox.Dir = filepath.Join(home, "inbox")
			return errors.Join(os.MkdirAll(o.Config.Inbox.Dir, 0o700),
				os.Chown(home, annID, annID))
		}, "way to folder inbox", Warn, "chown -h root '%s/of ann'", true},
		{"configuration", chmod(configFile, 0o646), "agent.toml", Fail,
			"chmod go-w %s/agent.toml", false},
		{"owner of the configuration", chown(configFile), "agent.toml", Warn,
			"belongs to the account 61003", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.root && os.Geteuid() != 0 {
				t.Skip("SKIPPED: only root may give files away")
			}
			o := lab(t)
			o.Dir = above(&o)
			must(t, errors.Join(os.Chmod(o.Dir, 0o755), put(config.AgentFile(o.Dir), 0o644)))
			expect(t, examine(t, o), "permissions", OK, "")
			must(t, c.spoil(&o))
			all := examine(t, o)
			says := c.says
			if strings.Contains(says, "%s") {
				says = fmt.Sprintf(says, o.Dir)
			}
			expect(t, all, c.check, c.level, says)
			if f, well := all["permissions"]; well {
				t.Errorf("and yet it says %+v", f)
			}
		})
	}
}

func TestFewOfManyFlawsAreNamed(t *testing.T) {
	o := lab(t)
	for n := range 5 * maxFlaws {
		must(t, put(filepath.Join(o.Config.State, fmt.Sprint(n)), 0o644))
	}
	list := flaws(o)
	if len(list) != maxFlaws+1 ||
		list[maxFlaws].Says != reason.New("more-flaws", "n", 4*maxFlaws, "folder", o.Config.State) {
		t.Errorf("%d findings, the last %+v", len(list), list[len(list)-1])
	}
}

// A probe follows no link of another account and replaces no file, even as root.
func TestProbesFollowNoLink(t *testing.T) {
	o := lab(t)
	outbox := filepath.Join(o.Config.Outbox.Dir, "outbox")
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, put(secret, 0o600))
	const before = ".sealpost-doctor.tmp" // as the probe was called once
	must(t, os.Symlink(secret, filepath.Join(outbox, before)))
	must(t, put(filepath.Join(o.Config.Outbox.Dir, "sending", before), 0o644))
	all := examine(t, o)
	expect(t, all, "folder outbox", OK, "")
	expect(t, all, "tray", OK, "")
	if content, err := os.ReadFile(secret); err != nil || string(content) != "x" {
		t.Errorf("what the link leads to holds %q, %v", content, err)
	}
	for _, folder := range []string{"outbox", "sending"} {
		entries, err := os.ReadDir(filepath.Join(o.Config.Outbox.Dir, folder))
		must(t, err)
		if names := slices.Collect(func(yield func(string) bool) {
			for _, e := range entries {
				yield(e.Name())
			}
		}); !slices.Equal(names, []string{before}) {
			t.Errorf("in %s lies %v", folder, names)
		}
	}
}

func TestAFolderThatAnotherAccountHasReplacedByALink(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may give files away")
	}
	o := lab(t)
	outbox, target := filepath.Join(o.Config.Outbox.Dir, "outbox"), t.TempDir()
	must(t, errors.Join(os.Remove(outbox), os.Symlink(target, outbox),
		os.Lchown(outbox, 61003, 61003)))
	all := examine(t, o)
	expect(t, all, "folder outbox", Fail,
		"a link that another account has made lies in the place of "+outbox)
	if _, tried := all["tray"]; tried {
		t.Errorf("the tray is tried: %+v", all["tray"])
	}
	if entries, err := os.ReadDir(target); err != nil || len(entries) != 0 {
		t.Errorf("where it leads lies %v, %v", entries, err)
	}
}
