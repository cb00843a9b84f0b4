package agent_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sealpost/agent"
	"sealpost/config"
)

// TestCheckStart returns the error of the start for each fault, and changes nothing.
func TestCheckStart(t *testing.T) {
	w := newWorld(t)
	lab := w.join("FL-LAB", "send", "CA-RC")
	lab.stop()
	at := func(name string) string { return filepath.Join(lab.dir, "state", name) }
	sound := t.TempDir()
	must(t, os.CopyFS(sound, os.DirFS(at(""))))
	spoil := func(names ...string) func() {
		return func() {
			for _, name := range names {
				must(t, os.WriteFile(at(name), slices.Repeat([]byte("spoilt "), 500), 0o600))
			}
		}
	}
	remove := func(names ...string) func() {
		return func() {
			for _, name := range names {
				must(t, os.RemoveAll(at(name)))
			}
		}
	}
	for name, c := range map[string]struct {
		spoil func()
		says  string
	}{
		"sound":               {func() {}, ""},
		"new ledger":          {remove("ledger.db"), ""},
		"new keys":            {remove("recipient.key", "claims.key"), ""},
		"damaged ledger":      {spoil("ledger.db"), "file is not a database"},
		"damaged identity":    {spoil("identity.key"), "want PEM that starts with"},
		"damaged key":         {spoil("recipient.key"), "not a private key"},
		"damaged secret":      {spoil("claims.key"), "claims.key"},
		"damaged certificate": {spoil("chain.pem"), "want PEM that starts with"},
		"lost certificate":    {remove("chain.pem"), "missing, and this site has joined"},
		"no certificate":      {remove("chain.pem", "ledger.db"), "this site has not joined yet"},
		"lost identity":       {remove("identity.key"), "identity.key"},
		"no disk":             {remove(""), "is missing: mount its disk"},
		"empty disk": {func() { remove("")(); must(t, os.Mkdir(at(""), 0o700)) },
			"has no keys: its disk is not mounted, or this site has not joined yet"},
		"newer ledger": {func() {
			db, err := sql.Open("sqlite", at("ledger.db"))
			must(t, err)
			_, err = db.Exec("PRAGMA user_version = 99")
			must(t, err)
			must(t, db.Close())
		}, "the ledger has format 99"},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, os.RemoveAll(at("")))
			must(t, os.CopyFS(at(""), os.DirFS(sound)))
			must(t, os.Chmod(at(""), 0o700))
			for _, name := range tryList(at("")) { // copies have other modes
				must(t, os.Chmod(at(name), 0o700))
			}
			c.spoil()
			before := tryList(at(""))
			cfg, err := config.LoadAgent(config.AgentFile(lab.dir))
			must(t, err)
			err = agent.CheckStart(cfg)
			if after := tryList(at("")); !slices.Equal(before, after) {
				t.Errorf("of %v it has made %v", before, after)
			}
			if c.says == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			_, started := agent.New(agent.Options{Config: cfg, Log: w.log("")})
			if err == nil || started == nil || err.Error() != started.Error() ||
				!strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, and of the start %v", err, started)
			}
		})
	}
}

// tryList returns the names in a folder, none if it is missing.
func tryList(dir string) (names []string) {
	entries, _ := os.ReadDir(dir) //nolint:errcheck // see above
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
