package console_test

import (
	"bufio"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/testkit"
)

// follow opens a stream of a session, and returns its lines.
func (c *client) follow(page string) (int, *bufio.Scanner) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.base+"live?page="+page,
		nil)
	testkit.Must(c.t, err)
	resp, err := c.http.Do(req)
	testkit.Must(c.t, err)
	c.t.Cleanup(func() { resp.Body.Close() })
	return resp.StatusCode, bufio.NewScanner(resp.Body)
}

// A stream follows the network, ends with its session, and their number is bounded.
func TestLiveStreams(t *testing.T) {
	w := newWorld(t)
	c := enter(t, w.link(""))
	status, lines := c.follow("flow")
	until := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
			if line := lines.Text(); line != "" && !strings.HasPrefix(line, "data: ") &&
				!strings.HasPrefix(line, ":") && !strings.HasPrefix(line, "event: ") {
				t.Fatalf("the stream has the line %q", line)
			}
		}
		t.Fatalf("the stream ended without %q: %v", text, lines.Err())
	}
	if status != http.StatusOK {
		t.Fatalf("the stream answers %d", status)
	}
	until("FL-LAB")
	w.Hub.Admin(hub.ControlHold, hub.HoldRequest{Site: "FL-LAB"}, nil)
	until("FL-LAB is on hold.")
	other := enter(t, w.link(""))
	full := 0
	for range 40 {
		if status, _ := other.follow("health"); status == http.StatusServiceUnavailable {
			full++
		}
	}
	if full != 9 { // of 40, beside the one that is open
		t.Errorf("%d of 40 streams are refused", full)
	}
	c.do(http.MethodPost, c.base+"leave", url.Values{})
	until("event: end")
}

// A port that is in use stops no hub: the admin that asks is told.
func TestThePortIsInUse(t *testing.T) {
	w := newWorld(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer taken.Close()
	w.Hub.Stop()
	testkit.Edit(t, config.HubFile(filepath.Join(w.Dir, "DC-HQ")), `listen = "127.0.0.1:0"`,
		`listen = "`+taken.Addr().String()+`"`)
	w.Hub.Start()
	err = w.Hub.Ask(hub.ControlConsole, hub.ConsoleRequest{}, nil)
	if err == nil || !strings.Contains(err.Error(), "the console cannot listen on "+
		taken.Addr().String()) {
		t.Errorf("it says %v", err)
	}
	testkit.Must(t, taken.Close())
	enter(t, w.link("")).get("flow")
}
