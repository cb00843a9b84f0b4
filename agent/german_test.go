package agent_test

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sealpost/agent"
	"sealpost/agent/ledger"
	"sealpost/certs"
	"sealpost/config"
	"sealpost/envelope"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/service"
)

// english matches words that no German text has, and in which no English sentence is without.
var english = regexp.MustCompile(`(?i)\b(the|is|are|not|of|to|and|with|without|for|from|it|its|` +
	`this|that|there|cannot|want|no|on|by|has|have|open|read|write|file|files|key|because|now|` +
	`again|invalid|found)\b`)

// foreign matches the parts of a German text that stay as they are, such as commands, quoted words
// and paths.
var foreign = regexp.MustCompile(`'[^']*'|"[^"]*"|(?:open )?(?:/[\w .-]+)+|[\w-]+\.(?:db|key|` +
	`toml|txt|md|pem)[\w-]*|ECDSA \S+|(?i)read-only|no_new_privs|sealpost agent resend.*|--[a-z-]+`)

// fromSystem are texts of the system and of libraries. Sealpost repeats them in their language.
var fromSystem = []string{"no such file or directory", "is a directory", "not a directory",
	"permission denied", "x509: malformed certificate", "file is not a database (26)",
	"asn1: structure error: ", "expected key separator '=', but got '\\n' instead"}

// englishIn returns the English words of a German text.
func englishIn(text string) []string {
	for _, s := range fromSystem {
		text = strings.ReplaceAll(text, s, "")
	}
	for last := ""; last != text; {
		last, text = text, foreign.ReplaceAllString(text, "")
	}
	return english.FindAllString(text, -1)
}

// No German template has an English word.
func TestGermanTemplatesAreGerman(t *testing.T) {
	for code, text := range reason.Templates(reason.German) {
		for last := ""; last != text; { // conditional parts nest
			last = text
			text = regexp.MustCompile(`\{[a-z]+(?::[^{}]*)?\}`).ReplaceAllString(text, "")
			text = regexp.MustCompile(`\{[a-z]+\?([^{}]*)\}`).ReplaceAllString(text, "$1")
		}
		if words := englishIn(text); len(words) > 0 {
			t.Errorf("%s: %q in %s", code, words, text)
		}
	}
}

// refusals returns errors of a site before its agent runs, by their cause.
func refusals(t *testing.T) map[string]error {
	t.Helper()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	must(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	all := map[string]error{}
	site := func(name, text string) { _, all[name] = id.ParseSite(text) }
	site("site", "no body")
	site("device", "CON")
	_, all["hash"] = id.ParseHash("abc")
	_, all["session"] = id.Parse128[id.Session]("abc")
	_, all["key of two"] = id.ParseAddress("FL LAB")
	_, all["sites"] = id.ParseAddress("@SF-RC,CA-RC")
	_, all["twice"] = id.ParseAddress("@CA-RC,CA-RC")
	all["neither"] = id.Address{}.Validate()
	all["kind"] = id.ValidKind("too long a kind")
	for _, m := range []string{"x", "CON_DAT_20251008_001", "FL-LAB_DAT_20251399_001",
		"FL-LAB_DAT_20251008_0001"} {
		_, _, all[m] = id.ParseMessage(m)
	}
	_, _, _, _, all["group"] = id.ParseGroup("FL-LAB_DAT_20251008_005-001")
	const cert, key = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
	none := filepath.Join(dir, "none")
	identity := func(name, key, chain string) { _, all[name] = certs.OpenIdentity(key, chain) }
	identity("empty chain", none, file("empty.pem", ""))
	identity("no PEM", none, file("text.pem", "text"))
	identity("other PEM", none, file("other.pem", key))
	identity("no certificate", none, file("cert.pem", cert))
	identity("folder of a key", filepath.Join(dir, "folder"), none)
	identity("key that is none", file("none.key", "text"), none)
	identity("key of another kind", file("cert.key", cert), none)
	identity("key and more", file("more.key", key+"more"), none)
	invitation := func(name, path string) { _, all[name] = certs.ReadInvitation(path) }
	invitation("no invitation", none)
	invitation("empty invitation", file("empty.join", ""))
	invitation("broken invitation", file("broken.join", "site\n"))
	invitation("newer invitation", file("newer.join", "colour = 1\n"))
	invitation("large invitation", file("large.join", strings.Repeat("#", 1<<20)))
	_, all["unsigned text"] = certs.ParseSignedText([]byte("text"))
	_, all["no chain"] = certs.Verifier{}.Site(nil, time.Now())
	all["chain of three"] = certs.Verifier{}.HubText(certs.SignedText{}, time.Now())
	keys := func(name, path, suite string) { _, all[name] = envelope.OpenKeys(path, suite) }
	keys("suite", none, "rot13")
	keys("no key of age", file("no.key", "text"), envelope.SuiteHybrid)
	keys("no recipient key", file("empty.key", ""), envelope.SuiteHybrid)
	keys("a long line", file("long.key", strings.Repeat("x", 1<<17)), envelope.SuiteHybrid)
	_, err := envelope.OpenKeys(filepath.Join(dir, "x25519.key"), envelope.SuiteX25519)
	must(t, err)
	keys("key of another suite", filepath.Join(dir, "x25519.key"), envelope.SuiteHybrid)
	_, all["ledger"] = ledger.Open(file("ledger.db", strings.Repeat("no ledger", 1000)))
	_, all["folder of a ledger"] = ledger.Open(filepath.Join(dir, "folder", "x", "ledger.db"))
	closed, err := ledger.Open(filepath.Join(dir, "closed.db"))
	must(t, err)
	must(t, closed.Close())
	all["closed ledger"] = closed.Update(t.Context(), func(*ledger.Tx) error { return nil })
	all["full disk"] = reason.Err("ledger-unwritten", "why", reason.Err("ledger-full", "cause",
		ledger.ErrFull, "dir", dir, "why", fs.ErrPermission))
	all["displaced"] = fmt.Errorf("%w: %w", agent.RunsElsewhere(time.Now()).AsError(),
		service.ErrDisplaced)
	_, all["not joined"] = agent.New(agent.Options{Config: config.Agent{State: dir, Site: "FL-LAB"},
		Dir: dir, Log: slog.New(slog.DiscardHandler)})
	return all
}

// A site that speaks German refuses in German, before its agent runs and while it does.
func TestRefusalsAreGerman(t *testing.T) {
	t.Parallel()
	all := refusals(t)
	_, lab, centre := labAndCentre(t)
	ask := func(s *site, path string, in any) {
		t.Helper()
		all[fmt.Sprint(s.name, " ", path, " ", in)] = s.call(path, in, nil)
	}
	for _, s := range []*site{lab, centre} {
		for _, message := range []string{"x", "FL-LAB_DAT_20200101_001"} {
			for _, path := range []string{agent.PathRecall, agent.PathReceipts, agent.PathProof,
				agent.PathLog} {
				ask(s, path, agent.MessageRequest{Message: message})
			}
			ask(s, agent.PathResend, agent.ResendRequest{Message: message, To: "no body"})
		}
		ask(s, agent.PathApprove, agent.ApproveRequest{Sites: []string{"no body"}})
		ask(s, agent.PathTrust, agent.TrustRequest{Site: "CA-RC", Fingerprint: "abc"})
		ask(s, agent.PathFind, agent.FindRequest{})
	}
	for cause, err := range all {
		if err == nil {
			t.Errorf("%s is not refused", cause)
			continue
		}
		text := reason.Of(err).In(reason.German)
		if words := englishIn(text); len(words) > 0 {
			t.Errorf("%s: %q in: %s", cause, words, text)
		}
		if text == reason.Of(err).In(reason.English) {
			t.Errorf("%s: the same in both languages: %s", cause, text)
		}
	}
}

// The test of German finds English.
func TestEnglishIsFound(t *testing.T) {
	for text, want := range map[string]bool{
		"die Datei fehlt: no such file or directory": false,
		"führen Sie 'sealpost agent run to' aus":     false,
		"/srv/the file/is.key fehlt":                 false,
		"identity: die Datei is da":                  true,
		"der Standortname \"the\" ist ungültig":      false,
		"site name \"x\" is invalid":                 true,
	} {
		if got := len(englishIn(text)) > 0; got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}
