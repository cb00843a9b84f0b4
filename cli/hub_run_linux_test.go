package cli

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/freeport"
	"sealpost/internal/testkit"
)

// A SIGHUP lets a running hub read hub.toml again; with a fault in it, nothing changes.
func TestAHangUpReloads(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "DC-HQ")
	addr, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hub.Init(hub.InitOptions{Dir: dir, Name: "DC-HQ", Hosts: []string{"127.0.0.1"},
		Listen: addr}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var log testkit.Journal
	ended := make(chan int)
	go func() { ended <- Main(ctx, []string{"hub", "run", "--dir", dir}, io.Discard, &log) }()
	defer func() {
		cancel()
		if code := <-ended; code != exitDone {
			t.Errorf("it ends with %d: %s", code, log.String())
		}
	}()
	var s hub.Status
	testkit.Eventually(t, "the hub runs", func() bool {
		return askHub(ctx, dir, hub.ControlStatus, hub.Nothing{}, &s) == nil
	})
	for _, c := range []struct{ before, level, says string }{
		{"info", "loud", "configuration not reloaded"}, {"loud", "debug", "changed=[log_level]"},
	} {
		testkit.Edit(t, config.HubFile(dir), `log_level = "`+c.before+`"`,
			`log_level = "`+c.level+`"`)
		testkit.Must(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
		testkit.Eventually(t, "the log says "+c.says, func() bool {
			return strings.Contains(log.String(), c.says)
		})
	}
}

// A hub enters its state folder as an agent does. It closes loose rights, and refuses a folder that
// others could replace.
func TestAHubEntersItsStateFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "DC-HQ")
	addr, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hub.Init(hub.InitOptions{Dir: dir, Name: "DC-HQ", Hosts: []string{"127.0.0.1"},
		Listen: addr}); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.LoadHub(config.HubFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	chmod := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	run := func() (said string, err error) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var log bytes.Buffer
		err = serveHub(ctx, dir, cfg, hub.Settings{}, certs.Passphrases{},
			slog.New(slog.NewTextHandler(&log, nil)))
		return log.String(), err
	}
	chain := filepath.Join(cfg.State, "chain.pem")
	chmod(chain, 0o644)
	chmod(cfg.State, 0o755)
	if said, err := run(); err != nil || !strings.Contains(said, "open to other accounts") ||
		!strings.Contains(said, "chain.pem") {
		t.Errorf("%v: %s", err, said)
	}
	for path, want := range map[string]os.FileMode{chain: 0o600, cfg.State: 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	chmod(dir, 0o777)
	if said, err := run(); err == nil || !strings.Contains(err.Error(), "chmod o-w "+dir) {
		t.Errorf("%v: %s", err, said)
	}
}
