package console_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/hub"
	"sealpost/internal/testkit"
)

// A link begins one session, once, and only in time. A look ahead of a browser does not use it up.
func TestALinkWorksOnce(t *testing.T) {
	w := newWorld(t)
	link := w.link("")
	ahead := newClient(t)
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		req, err := http.NewRequestWithContext(t.Context(), method, link, nil)
		testkit.Must(t, err)
		req.Header.Set("Sec-Purpose", "prefetch")
		if status, _, _ := ahead.send(req); status != http.StatusMethodNotAllowed {
			t.Errorf("a prefetch gets %d", status)
		}
	}
	c := enter(t, link)
	wantText(t, c.get("flow"), "<h1>Flow</h1>", "account ")
	second := newClient(t)
	status, _, text := second.do(http.MethodGet, link, nil)
	if status != http.StatusForbidden {
		t.Errorf("the second time it answers %d", status)
	}
	wantText(t, text, "sealpost hub console")
	old := w.link("")
	w.clock.forward(5 * time.Minute)
	if status, _, _ := second.do(http.MethodGet, old, nil); status != http.StatusForbidden {
		t.Errorf("after five minutes it answers %d", status)
	}
	if err := w.Hub.Ask(hub.ControlConsole, hub.ConsoleRequest{Role: "send"}, nil); err == nil {
		t.Error("a role of a site has a session")
	}
	for _, line := range []string{"call=/console account=", "console session begun",
		"console link refused"} {
		if !w.Hub.Says(line) {
			t.Errorf("the log does not have %q", line)
		}
	}
}

// A session ends when it is left, when it is not used, and after its time. Nothing of it goes on in
// a later start of the hub.
func TestSessionsEnd(t *testing.T) {
	w := newWorld(t)
	ended := func(c *client, when string) {
		t.Helper()
		if status, _, _ := c.do(http.MethodGet, c.base+"flow",
			nil); status != http.StatusForbidden {
			t.Errorf("%s it answers %d", when, status)
		}
	}
	left, idle, long := enter(t, w.link("")), enter(t, w.link("")), enter(t, w.link(""))
	if status, _, _ := left.do(http.MethodPost, left.base+"leave", url.Values{}); status != 200 {
		t.Errorf("leaving answers %d", status)
	}
	ended(left, "after it was left")
	for range 23 {
		w.clock.forward(29 * time.Minute)
		long.get("flow")
	}
	ended(idle, "without use")
	w.clock.forward(29 * time.Minute)
	long.get("flow")
	w.clock.forward(25 * time.Minute)
	ended(long, "after twelve hours")
	restarted := enter(t, w.link(""))
	w.Hub.Stop()
	w.Hub.Start()
	next := enter(t, w.link(""))
	at := strings.Split(next.base, "/")[2]
	restarted.base = "http://" + at + "/" + strings.Split(restarted.base, "/")[3] + "/"
	ended(restarted, "after a restart of the hub")
}

// A page of another site, a name that was made to point here and another session reach nothing.
func TestStrangersReachNothing(t *testing.T) {
	w := newWorld(t)
	c := enter(t, w.link(""))
	for name, tt := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"another name": {func(r *http.Request) { r.Host = "evil.example" },
			http.StatusMisdirectedRequest},
		"another name with the port": {func(r *http.Request) { r.Host = "evil.example:80" },
			http.StatusMisdirectedRequest},
		"a name below localhost": {func(r *http.Request) { r.Host = "localhost.evil.example" },
			http.StatusMisdirectedRequest},
		"a form of another site": {func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}, http.StatusForbidden},
		"a form of another port": {func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "same-site")
		}, http.StatusForbidden},
		"a form of an old browser": {func(r *http.Request) {
			r.Header.Set("Origin", "http://evil.example")
		}, http.StatusForbidden},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.base+"hold",
			strings.NewReader("site=FL-LAB"))
		testkit.Must(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		tt.change(req)
		if status, _, _ := c.send(req); status != tt.status {
			t.Errorf("%s gets %d, want %d", name, status, tt.status)
		}
	}
	bare := newClient(t)
	other := enter(t, w.link(""))
	for name, who := range map[string]*client{"without a cookie": bare,
		"with that of another session": other} {
		if status, _, _ := who.do(http.MethodGet, c.base+"flow", nil); status !=
			http.StatusForbidden {
			t.Errorf("%s it answers %d", name, status)
		}
	}
	status, h, _ := c.do(http.MethodGet, c.base+"flow", nil)
	if status != http.StatusOK || !strings.Contains(h.Get("Content-Security-Policy"),
		"default-src 'none'") || strings.Contains(h.Get("Content-Security-Policy"), "unsafe") ||
		h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("the page has %v", h)
	}
	entered := newClient(t)
	_, h, _ = entered.do(http.MethodGet, w.link(""), nil)
	cookie := h.Get("Set-Cookie")
	if !regexp.MustCompile(`^sealpost-console=[0-9a-f]{32}; Path=/[0-9a-f]{32}/; HttpOnly; ` +
		`SameSite=Strict$`).MatchString(cookie) {
		t.Errorf("the cookie is %q", cookie)
	}
	for _, page := range []string{"nothing", "flow/more", "../style.css"} {
		if status, _, _ := c.do(http.MethodGet, c.base+page, nil); page != "../style.css" &&
			status != http.StatusNotFound && status != http.StatusForbidden {
			t.Errorf("%s answers %d", page, status)
		}
	}
	var n int64
	for _, s := range w.sites() {
		if s.Hold != nil {
			n++
		}
	}
	if n != 0 {
		t.Errorf("%d sites are on hold", n)
	}
}

func (w *world) sites() []hub.SiteStatus {
	w.T.Helper()
	var out hub.SitesAnswer
	w.Hub.Admin(hub.ControlSites, hub.Nothing{}, &out)
	return out.Sites
}

// Each role sees the pages, and no form that it may not send. A form that is sent all the same does
// nothing.
func TestRolesAtTheConsole(t *testing.T) {
	w := newWorld(t)
	m := w.drop("a.dat", "x")
	forms := map[string][]string{
		"hold": {"site", "CA-RC"}, "release": {"site", "CA-RC"},
		"requeue": {"id", string(m)}, "remove": {"site", "CA-RC", "confirm", "CA-RC"},
		"bind":  {"queue", "ca_rc_queue", "keys", "pa-lab.#"},
		"quota": {"site", "FL-LAB", "send_bytes", "1GiB"},
		"admit": {"site", "XX-LAB", "fingerprint", strings.Repeat("0", 64), "role", "send",
			"confirm", "compared"},
		"revoke": {"site", "CA-RC"}, "invite": {"site", "XX-LAB", "role", "send"},
	}
	operates := map[string]bool{"hold": true, "release": true, "requeue": true}
	for _, role := range []string{certs.RoleViewer, certs.RoleOperator} {
		c := enter(t, w.link(role))
		pages := ""
		for _, page := range []string{"flow", "sites", "site?name=CA-RC", "queues", "messages",
			"message?id=" + string(m), "trouble", "health", "audit"} {
			pages += c.get(page)
		}
		for name, fields := range forms {
			may := role == certs.RoleOperator && operates[name]
			text := c.post(name, fields...)
			if refused := strings.Contains(text, "may not do this"); refused == may {
				t.Errorf("%s of a %s: refused %v", name, role, refused)
			}
			if !may && strings.Contains(pages, `action="`+name+`"`) {
				t.Errorf("a %s is shown the form %s", role, name)
			}
		}
	}
	for _, s := range w.sites() {
		if s.State == hub.SiteRemoved || s.Site == "XX-LAB" || s.Usage.Send != nil &&
			s.Usage.Send.Own {
			t.Errorf("it was changed: %+v", s)
		}
	}
}

// Each act of the console does the same as its command, and tells its outcome.
func TestActs(t *testing.T) {
	w := newWorld(t)
	c := enter(t, w.link(""))
	status, h, text := c.do(http.MethodPost, c.base+"invite", url.Values{"site": {"SF-RC"},
		"role": {"receive"}, "days": {"3"}})
	path := filepath.Join(t.TempDir(), "SF-RC.join")
	testkit.Must(t, os.WriteFile(path, []byte(text), 0o600))
	inv, err := certs.ReadInvitation(path)
	if status != http.StatusOK || err != nil || inv.Site != "SF-RC" || inv.Role != "receive" ||
		h.Get("Content-Disposition") != `attachment; filename="SF-RC.join"` {
		t.Fatalf("the invitation is %v, %v, %d", inv, err, status)
	}
	wantText(t, c.get("sites"), "SF-RC, until")
	w.JoinWith(inv)
	wantText(t, c.post("hold", "site", "FL-LAB", "because", "the <b>disk</b> is moved", "back",
		"site?name=FL-LAB"), "FL-LAB is on hold", "the &lt;b&gt;disk&lt;/b&gt; is moved",
		"<h1>FL-LAB</h1>")
	wantText(t, c.get("flow"), "FL-LAB is on hold.", "glance warn")
	wantText(t, c.post("release", "site", "FL-LAB", "back", "trouble"), "not on hold any more",
		"<h1>Trouble</h1>")
	wantText(t, c.post("release", "site", "FL-LAB"), "Nothing has changed")
	wantText(t, c.post("bind", "queue", "sf_rc_queue", "keys", "fl-lab.#, pa-lab.*", "back",
		"queues"), "<code>pa-lab.*</code>", "fl-lab.#, pa-lab.* is bound to sf_rc_queue.")
	wantText(t, c.get("queues?key=fl-lab.dat&queue=sf_rc_queue&unbind=fl-lab.%23"),
		"<dd>CA-RC SF-RC </dd>", "<dd>CA-RC </dd>")
	wantText(t, c.get("queues?key=FL..dat"), "notice bad")
	wantText(t, c.post("unbind", "queue", "sf_rc_queue", "keys", "pa-lab.*"),
		"is not bound any more")
	wantText(t, c.post("bind", "queue", "xx_queue", "keys", "a.b"), "notice bad")
	wantText(t, c.post("quota", "site", "FL-LAB", "send_bytes", "1GiB", "send_envelopes", "200",
		"back", "site?name=FL-LAB"), "The limits of FL-LAB are set.", "1.0 GiB")
	for _, wrong := range []string{"much", "-1", "0"} {
		wantText(t, c.post("quota", "site", "FL-LAB", "send_bytes", wrong), "nothing was done")
	}
	wantText(t, c.post("quota", "site", "SF-RC", "expires_after", "48h"), "are set")
	wantText(t, c.post("invite", "site", "no site"), "nothing was done")
	wantText(t, c.post("invite", "site", "PA-LAB", "days", "many"), "nothing was done")
	wantText(t, c.post("admit", "site", "SF-RC"), "nothing was done")
	wantText(t, c.post("remove", "site", "SF-RC", "confirm", "sf-rc"), "type")
	wantText(t, c.post("remove", "site", "SF-RC", "confirm", "SF-RC", "back",
		"sites?state=removed"), "SF-RC is removed", `value=""`, "1 of 3 sites")
	wantText(t, c.post("hold", "site", "SF-RC", "back", "//evil.example/flow"), "<h1>Flow</h1>")
	wantText(t, c.get("audit"), "at the console", "/remove")
	if !w.Hub.Says("call=/remove console=") {
		t.Error("the log does not have the removal")
	}
}

// The life of a message stands on its page, from the drop to the receipt, and over its death.
func TestTheLifeOfAMessage(t *testing.T) {
	w := newWorld(t)
	c := enter(t, w.link(""))
	m := w.drop("a.dat", "x")
	w.delivered(m)
	page := c.get("message?id=" + string(m))
	wantText(t, page, "Sealed by FL-LAB", "Spooled", "Acknowledged: safe in the inbox of CA-RC")
	link := regexp.MustCompile(`href="(receipt[^"]+)"`).FindStringSubmatch(page)
	if link == nil {
		t.Fatal("there is no receipt")
	}
	_, h, receipt := c.do(http.MethodGet, c.base+strings.ReplaceAll(link[1], "&amp;", "&"), nil)
	if strings.Count(receipt, ".") != 2 || h.Get("Content-Disposition") !=
		`attachment; filename="`+string(m)+`-CA-RC.jws"` {
		t.Errorf("the receipt is %q, %v", receipt, h)
	}
	w.centre.Stop()
	second := w.drop("b.dat", "x")
	wantText(t, c.get("flow"), "CA-RC is away: 1 delivery waits for it")
	wantText(t, c.get("message?id="+string(second)), "Waits for CA-RC", "Hold what waits")
	wantText(t, c.post("hold-one", "id", string(second), "because", "a question", "back",
		"message?id="+string(second)), "On hold: a question")
	wantText(t, c.get("trouble"), "a question")
	wantText(t, c.post("release-one", "id", string(second), "back", "message?id="+string(second)),
		"Waits for CA-RC")
	wantText(t, c.post("requeue", "id", string(second)), "notice bad")
	for query, want := range map[string]string{
		"": "b", "?from=fl-lab": "b", "?to=CA-RC&state=waiting": "b", "?state=waiting": "b",
		"?address=fl-lab.dat&from=FL-LAB": "ab", "?from=FL-LAB&state=delivered": "a",
		"?state=dead": "", "?address=pa-lab.dat&to=CA-RC": "", "?id=" + string(m): "a",
		"?since=2999-01-01": "", "?until=2001-01-01T10:00&from=FL-LAB": "",
	} {
		text := c.get("messages" + query)
		got := ""
		if strings.Contains(text, string(m)+"</a>") {
			got = "a"
		}
		if strings.Contains(text, string(second)+"</a>") {
			got += "b"
		}
		if got != want && !(want == "b" && got == "ab" && !strings.Contains(query, "state")) {
			t.Errorf("%q finds %q, want %q", query, got, want)
		}
	}
	for _, wrong := range []string{"messages?id=x", "messages?since=soon", "messages?from=XX-LAB",
		"message?id=FL-LAB_DAT_20251008_099", "site?name=XX", "health?span=week",
		"messages?from=FL-LAB&after=x"} {
		if status, _, text := c.do(http.MethodGet, c.base+wrong, nil); status !=
			http.StatusUnprocessableEntity || !strings.Contains(text, "notice bad") {
			t.Errorf("%s answers %d", wrong, status)
		}
	}
	c = w.die()
	wantText(t, c.get("trouble"), string(second), "expired")
	wantText(t, c.get("flow"), "There are dead letters")
	wantText(t, c.post("discard", "id", string(second), "to", "CA-RC", "confirm", "yes"),
		"nothing was done")
	wantText(t, c.post("requeue", "id", string(second), "to", "CA-RC", "back", "trouble"),
		"For CA-RC it waits again")
	c = w.die()
	wantText(t, c.post("discard", "id", string(second), "to", "CA-RC", "confirm", string(second),
		"back", "trouble"), "the hub keeps nothing more of it")
	wantText(t, c.get("message?id="+string(second)), "Ended undelivered (expired)")
}
