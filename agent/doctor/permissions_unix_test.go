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
)

// put makes a file of this mode, whatever the umask.
func put(path string, mode os.FileMode) error {
	return errors.Join(os.WriteFile(path, []byte("x"), mode), os.Chmod(path, mode))
}

func TestLoosePermissionsAreNamed(t *testing.T) {
	const annID = 61003
	state := func(o *Options, name string) string { return filepath.Join(o.Config.State, name) }
	above := func(o *Options) string { return filepath.Dir(o.Config.State) }
	for _, c := range []struct {
		name  string
		spoil func(o *Options) error
		what  string
		level Level
		says  string // with %s for the site's folder
		root  bool
	}{
		{"state folder", func(o *Options) error { return os.Chmod(o.Config.State, 0o755) }, "permissions of state", Fail, "chmod 700 %s/state", false},
		{"file", func(o *Options) error { return os.Chmod(state(o, "chain.pem"), 0o644) }, "permissions of state/chain.pem", Warn, "chmod 600 %s/state/chain.pem", false},
		{"folder", func(o *Options) error {
			return errors.Join(os.Mkdir(state(o, "sealed"), 0o700), os.Chmod(state(o, "sealed"), 0o770))
		}, "permissions of state/sealed", Warn, "chmod 700 %s/state/sealed", false},
		{"file in a folder", func(o *Options) error {
			return errors.Join(os.Mkdir(state(o, "sealed"), 0o700), put(state(o, "sealed/e1"), 0o640))
		}, "permissions of state/sealed/e1", Warn, "chmod 600 %s/state/sealed/e1", false},
		{"key", func(o *Options) error { return put(state(o, "claims.key"), 0o640) }, "permissions of state/claims.key", Fail, "chmod 600 %s/state/claims.key", false},
		{"second name", func(o *Options) error {
			return errors.Join(put(filepath.Join(above(o), "other"), 0o644), os.Link(filepath.Join(above(o), "other"), state(o, "other")))
		}, "permissions of state/other", Warn, "-samefile %s/state/other", false},
		{"another account's file", func(o *Options) error {
			return errors.Join(put(state(o, "ledger.db"), 0o600), os.Chown(state(o, "ledger.db"), annID, annID))
		}, "permissions of state/ledger.db", Fail, "belongs to the account 61003", true},
		{"way to the state folder", func(o *Options) error { return os.Chmod(above(o), 0o757) }, "way to folder state", Fail, "chmod o-w %s", false},
		{"owner of the way", func(o *Options) error { return os.Chown(above(o), annID, annID) }, "way to folder state", Fail, "chown -h root %s", true},
		{"way to the outbox", func(o *Options) error {
			o.Config.Outbox.Dir = filepath.Join(above(o), "tray")
			return errors.Join(os.MkdirAll(filepath.Join(o.Config.Outbox.Dir, "outbox"), 0o700), os.Chmod(o.Config.Outbox.Dir, 0o757))
		}, "way to folder outbox", Warn, "chmod o-w %s/tray", false},
		{"way to the inbox", func(o *Options) error {
			o.Config.Inbox.Dir = filepath.Join(above(o), "of ann", "inbox")
			return errors.Join(os.MkdirAll(o.Config.Inbox.Dir, 0o700), os.Chown(filepath.Dir(o.Config.Inbox.Dir), annID, annID))
		}, "way to folder inbox", Warn, "chown -h root '%s/of ann'", true},
		{"configuration", func(o *Options) error { return os.Chmod(config.AgentFile(o.Dir), 0o646) }, "agent.toml", Fail, "chmod go-w %s/agent.toml", false},
		{"owner of the configuration", func(o *Options) error { return os.Chown(config.AgentFile(o.Dir), annID, annID) }, "agent.toml", Warn, "belongs to the account 61003", true},
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
			expect(t, all, c.what, c.level, says)
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
	if len(list) != maxFlaws+1 || !strings.Contains(list[maxFlaws].Says.String(), fmt.Sprintf("%d more files", 4*maxFlaws)) {
		t.Errorf("%d findings, the last %+v", len(list), list[len(list)-1])
	}
}

// What another account has put where the doctor makes its probe is neither followed nor replaced, even by root.
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
	outbox, elsewhere := filepath.Join(o.Config.Outbox.Dir, "outbox"), t.TempDir()
	must(t, errors.Join(os.Remove(outbox), os.Symlink(elsewhere, outbox), os.Lchown(outbox, 61003, 61003)))
	all := examine(t, o)
	expect(t, all, "folder outbox", Fail, "a link that another account has made lies in the place of "+outbox)
	if _, tried := all["tray"]; tried {
		t.Errorf("the tray is tried: %+v", all["tray"])
	}
	if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) != 0 {
		t.Errorf("where it leads lies %v, %v", entries, err)
	}
}
