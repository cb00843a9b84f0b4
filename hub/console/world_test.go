package console_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/id"
	"sealpost/internal/testkit"
	"sealpost/internal/testnet"
	"sealpost/spool"
	"sealpost/spool/badgerspool"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// clock is the hub's, and can be put forward.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// world is a hub with a lab, two centres, and a centre that is never there.
type world struct {
	*testnet.Network
	lab, centre *testnet.Site
	clock       *clock
}

// newWorld runs a hub, FL-LAB and CA-RC. SF-RC has joined, and does not run.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{clock: &clock{}}
	w.Network = testnet.New(t, testnet.Options{Now: w.clock.now})
	w.lab = w.Join("FL-LAB", config.RoleSend, "route")
	w.centre = w.Join("CA-RC", config.RoleReceive)
	w.Hub.Bind("ca_rc_queue", "fl-lab.#")
	w.centre.Start()
	w.lab.Start()
	return w
}

// drop lets the lab send a file, and returns the message that the hub has of it.
func (w *world) drop(name, content string) id.Message {
	w.T.Helper()
	before := len(w.records())
	testkit.Must(w.T, os.WriteFile(filepath.Join(w.lab.Dir, "outbox", name), []byte(content),
		0o644))
	testkit.Eventually(w.T, "the hub has "+name, func() bool { return len(w.records()) > before })
	return w.records()[0].Message
}

func (w *world) records() []spool.Record {
	w.T.Helper()
	var out hub.MessagesAnswer
	w.Hub.Admin(hub.ControlMessages, hub.MessagesRequest{Sender: "FL-LAB"}, &out)
	return out.Messages
}

// delivered waits until a message has arrived everywhere.
func (w *world) delivered(m id.Message) {
	w.T.Helper()
	testkit.Eventually(w.T, string(m)+" is delivered", func() bool {
		for _, r := range w.records() {
			if r.Message == m && r.State != "delivered" {
				return false
			}
		}
		return true
	})
}

// die lets all that waits for CA-RC end undelivered, as after its time. It returns a new session.
func (w *world) die() *client {
	w.T.Helper()
	w.Hub.Stop()
	store, err := badgerspool.Open(filepath.Join(w.Hub.Dir, "state", "spool"),
		badgerspool.Options{})
	testkit.Must(w.T, err)
	ctx := context.Background()
	testkit.Must(w.T, store.Limit(ctx, spool.Quotas{Dead: 1 << 30}))
	n, err := store.Kill(ctx, "ca_rc_queue", "expired")
	testkit.Must(w.T, errors.Join(err, store.Close()))
	if n == 0 {
		w.T.Fatal("nothing waits")
	}
	w.Hub.Start()
	return enter(w.T, w.link(""))
}

func (w *world) link(role string) string {
	w.T.Helper()
	var l hub.ConsoleLink
	w.Hub.Admin(hub.ControlConsole, hub.ConsoleRequest{Role: role}, &l)
	return l.URL
}

// client is a browser without script: it keeps cookies, and follows no redirect by itself.
type client struct {
	t    testing.TB
	http *http.Client
	base string // of the session, with a slash at the end
}

func newClient(t testing.TB) *client {
	jar, err := cookiejar.New(nil)
	testkit.Must(t, err)
	c := &client{t: t, http: &http.Client{Jar: jar, Transport: &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}}}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

var nextPage = regexp.MustCompile(`url=(/[0-9a-f]+/)flow`)

// enter begins a session by a link.
func enter(t testing.TB, link string) *client {
	t.Helper()
	c := newClient(t)
	status, h, _ := c.do(http.MethodGet, link, nil)
	m := nextPage.FindStringSubmatch(h.Get("Refresh"))
	if status != http.StatusOK || m == nil {
		t.Fatalf("the link answers %d, %q", status, h)
	}
	at, err := url.Parse(link)
	testkit.Must(t, err)
	c.base = "http://" + at.Host + m[1]
	return c
}

// do makes a request, and returns the answer with its text.
func (c *client) do(method, at string, form url.Values) (int, http.Header, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, at,
		strings.NewReader(form.Encode()))
	testkit.Must(c.t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return c.send(req)
}

func (c *client) send(req *http.Request) (int, http.Header, string) {
	c.t.Helper()
	resp, err := c.http.Do(req)
	testkit.Must(c.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	testkit.Must(c.t, err)
	return resp.StatusCode, resp.Header, string(text)
}

// get returns the text of a page, which must be there.
func (c *client) get(page string) string {
	c.t.Helper()
	status, _, text := c.do(http.MethodGet, c.base+page, nil)
	if status != http.StatusOK {
		c.t.Fatalf("%s answers %d: %s", page, status, text)
	}
	return text
}

// post sends a form, and returns the page to which it leads.
func (c *client) post(act string, pairs ...string) string {
	c.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	status, h, text := c.do(http.MethodPost, c.base+act, form)
	if status != http.StatusSeeOther {
		c.t.Fatalf("%s answers %d: %s", act, status, text)
	}
	at, err := url.Parse(c.base)
	testkit.Must(c.t, err)
	_, _, text = c.do(http.MethodGet, "http://"+at.Host+h.Get("Location"), nil)
	return text
}

// wantText fails unless a page has a text.
func wantText(t *testing.T, page string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not have %q:\n%s", text, page)
		}
	}
}
