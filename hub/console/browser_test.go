package console_test

import (
	"bytes"
	"context"
	_ "embed"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/id"
	"sealpost/internal/testkit"
	"sealpost/internal/testnet"
)

var screenshots = flag.String("screenshots", "", "the folder for the pictures of docs/console.md")

// rules are the checks of accessibility, in the manner of axe-core. They return a list of faults.
//
//go:embed testdata/rules.js
var rules string

// chrome is a real browser with one page.
type chrome struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu     sync.Mutex // guards faults
	faults []string   // errors of the browser's console, and requests to other servers
}

// openChrome starts Chromium with an empty profile.
func openChrome(t *testing.T, link string) *chrome {
	t.Helper()
	path, err := exec.LookPath("chromium")
	testkit.Must(t, err)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900))
	all, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, leave := chromedp.NewContext(all)
	c := &chrome{t: t, ctx: ctx}
	t.Cleanup(func() {
		chromedp.Cancel(ctx) //nolint:errcheck // the browser may have gone
		leave()
		stop()
	})
	at, err := url.Parse(link)
	testkit.Must(t, err)
	testkit.Must(t, chromedp.Listen(ctx, func(event any) { c.heard(event, at.Host) }))
	send(c, network.Enable, network.EnableParams{})
	send(c, log.Enable, cdp.Empty{})
	c.do(chromedp.Navigate(link), chromedp.WaitVisible(chromedp.CSS("nav")))
	c.base = strings.TrimSuffix(get(c, chromedp.Location()), "flow")
	return c
}

// heard records the faults that a page tells its browser.
func (c *chrome) heard(event any, host string) {
	fault := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		fault = e.Entry.Text + " " + e.Entry.URL
	case *runtime.EventExceptionThrown:
		fault = e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		fault = fmt.Sprint("console.", e.Type)
	case *network.EventRequestWillBeSent:
		if at, err := url.Parse(e.Request.URL); err != nil || at.Host != host {
			fault = "a request to " + e.Request.URL
		}
	}
	if fault != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.faults = append(c.faults, fault)
	}
}

// get runs an action for a time, and returns its value.
func get[T any](c *chrome, action chromedp.Action[T]) T {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 30*time.Second)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.t.Fatalf("the browser: %v; it told %q", err, c.faults)
	}
	return value
}

// send sends a command of the protocol.
func send[P, R any](c *chrome, command cdp.Command[P, R], params P) {
	c.t.Helper()
	get(c, func(ctx context.Context, t *chromedp.Target) (R, error) {
		return cdp.Call(ctx, t, command, params)
	})
}

// eval returns the value of an expression in the page.
func eval[T any](c *chrome, expression string) T {
	c.t.Helper()
	return get(c, chromedp.Evaluate[T](expression))
}

// do runs actions without a value.
func (c *chrome) do(actions ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	get(c, chromedp.Steps(actions...))
}

// shows sets the color scheme.
func (c *chrome) shows(scheme string) {
	c.t.Helper()
	send(c, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme},
			{Name: "prefers-reduced-motion", Value: "reduce"}}})
}

// open shows a page of the session.
func (c *chrome) open(page string) {
	c.t.Helper()
	c.do(chromedp.Navigate(c.base+page), chromedp.WaitVisible(chromedp.CSS("h1")))
}

// says waits until the page has a text.
func (c *chrome) says(text string) {
	c.t.Helper()
	seen := ""
	testkit.EventuallyWithin(c.t, 10*time.Second, "the page has "+text, func() bool {
		seen = eval[string](c, "document.body ? document.body.innerText : ''")
		return strings.Contains(seen, text)
	}, func() string { return seen })
}

// fill opens the details around a form, types into its fields and sends it.
func (c *chrome) fill(form string, pairs ...string) {
	c.t.Helper()
	eval[string](c, fmt.Sprintf(`(() => { const f = document.querySelector(%q);
		for (let d = f; d; d = d.parentElement) if (d.tagName === "DETAILS") d.open = true;
		return f.tagName })()`, form))
	for i := 0; i < len(pairs); i += 2 {
		at := form + " [name=" + pairs[i] + "]"
		c.do(chromedp.SetValue(chromedp.CSS(at), pairs[i+1]))
	}
	c.do(chromedp.Click(chromedp.CSS(form + " button")))
}

// check fails for each fault of the page that is shown, in the light and in the dark.
func (c *chrome) check(page string) {
	c.t.Helper()
	for _, scheme := range []string{"dark", "light"} {
		c.shows(scheme)
		for _, f := range eval[[]string](c, rules) {
			c.t.Errorf("%s, %s: %s", page, scheme, f)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.faults {
		c.t.Errorf("%s: %s", page, f)
	}
	c.faults = nil
}

// picture writes a screenshot, if they are wanted and the documents show it.
func (c *chrome) picture(name string) {
	c.t.Helper()
	shown := []string{"flow", "dark", "sites", "message", "phone"}
	if *screenshots == "" || !slices.Contains(shown, name) {
		return
	}
	whole, err := png.Decode(bytes.NewReader(get(c, chromedp.FullScreenshot(100))))
	testkit.Must(c.t, err)
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	testkit.Must(c.t, encoder.Encode(&out, fewColors(whole)))
	testkit.Must(c.t, os.WriteFile(filepath.Join(*screenshots, name+".png"), out.Bytes(), 0o644))
}

// fewColors returns a picture in its 256 most frequent colors, which takes a third of the bytes.
func fewColors(whole image.Image) image.Image {
	count, box := map[color.Color]int{}, whole.Bounds()
	for y := range box.Dy() {
		for x := range box.Dx() {
			count[whole.At(x, y)]++
		}
	}
	all := slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int {
		return count[b] - count[a]
	})
	out := image.NewPaletted(box, all[:min(len(all), 256)])
	draw.Draw(out, box, whole, box.Min, draw.Src)
	return out
}

// newNetwork runs four labs and two centres; a third centre is away, and files wait for it.
func newNetwork(t *testing.T) (w *world, first, waits id.Message) {
	t.Helper()
	w = &world{clock: &clock{}}
	w.Network = testnet.New(t, testnet.Options{Now: w.clock.now})
	w.centre = w.Join("CA-RC", config.RoleReceive)
	others := []*testnet.Site{w.Join("NY-RC", config.RoleReceive)}
	absent := w.Join("SF-RC", config.RoleReceive)
	w.Hub.Bind("ca_rc_queue", "#")
	w.Hub.Bind("ny_rc_queue", "pa-lab.#", "tx-lab.#")
	w.Hub.Bind("sf_rc_queue", "fl-lab.#")
	for _, name := range []id.Site{"PA-LAB", "TX-LAB", "WA-LAB"} {
		others = append(others, w.Join(name, config.RoleSend, "route"))
	}
	w.lab = w.Join("FL-LAB", config.RoleSend, "route")
	testkit.Must(t, os.Rename(filepath.Join(w.Network.Dir, "root"), t.TempDir()+"/root"))
	for _, s := range append(others, w.centre, absent, w.lab) {
		s.Start()
	}
	for i, s := range append(others[1:], w.lab) {
		for n := range i + 2 {
			testkit.Must(t, os.WriteFile(filepath.Join(s.Dir, "outbox",
				fmt.Sprintf("run-%d.dat", n)), []byte(strings.Repeat("x", 1000*(n+1))), 0o644))
		}
	}
	first = w.drop("first.dat", "x")
	w.delivered(first)
	absent.Stop()
	waits = w.drop("scan.img", strings.Repeat("y", 300_000))
	return w, first, waits
}

// Pages and acts in a real browser.
func TestInABrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("SKIPPED: no chromium on this machine")
	}
	w, first, waits := newNetwork(t)
	c := openChrome(t, w.link(""))
	t.Run("pages", func(t *testing.T) { c.t = t; seePages(c, w, first, waits) })
	t.Run("focus", func(t *testing.T) { c.t = t; keepFocus(c, w) })
	t.Run("keyboard", func(t *testing.T) { c.t = t; useKeyboard(c, w) })
	t.Run("acts", func(t *testing.T) { c.t = t; act(c, w, waits) })
	c.t = t
}

// seePages opens every page, light and dark, on a screen and on a phone. None has a fault, and none
// asks another server.
func seePages(c *chrome, w *world, first, waits id.Message) {
	t := c.t
	c.says("SF-RC is away: 1 delivery waits for it")
	pages := map[string]string{"flow": "flow", "sites": "sites", "site": "site?name=SF-RC",
		"queues": "queues?key=fl-lab.dat&queue=sf_rc_queue&bind=fl-lab.%23", "messages": "messages",
		"message": "message?id=" + string(first), "waits": "message?id=" + string(waits),
		"trouble": "trouble", "health": "health", "audit": "audit?verify=yes"}
	for name, page := range pages {
		c.open(page)
		c.check(name)
		c.picture(name)
	}
	c.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2)))
	for name, page := range pages {
		c.open(page)
		if eval[bool](c, "document.documentElement.scrollWidth > innerWidth") {
			t.Errorf("%s is wider than a phone", name)
		}
		c.check(name + " on a phone")
	}
	c.open("flow")
	c.picture("phone")
	c.do(chromedp.EmulateViewport(1280, 900))
	c.shows("dark")
	c.open("flow")
	c.picture("dark")
}

// act sends each form. The page of the flow follows without a reload.
func act(c *chrome, w *world, waits id.Message) {
	t := c.t
	c.open("flow")
	downloads := t.TempDir()
	send(c, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: "allow",
		DownloadPath: downloads})
	w.Hub.Admin(hub.ControlHold, hub.HoldRequest{Site: "FL-LAB"}, nil)
	c.says("FL-LAB is on hold.") // by the stream
	c.open("site?name=FL-LAB")
	c.fill("form[action=release]")
	c.says("FL-LAB is not on hold any more.")
	c.fill("form[action=hold]", "because", "maintenance")
	c.says("maintenance")
	c.fill("form[action=release]")
	c.says("FL-LAB is not on hold any more.")
	c.fill("form[action=quota]", "send_envelopes", "500")
	c.says("The limits of FL-LAB are set.")
	c.fill("form[action=admit]", "may_send", "fl-lab.#, shared.#")
	c.says("shared.#")
	c.open("queues")
	c.fill("tr:last-child form[action=bind]", "keys", "wa-lab.#")
	c.says("wa-lab.# is bound to sf_rc_queue.")
	c.fill("tr:last-child form[action=unbind]")
	c.says("is not bound any more")
	c.open("sites")
	c.fill("form[action=invite]", "site", "OR-LAB", "role", "send")
	testkit.Eventually(t, "the invitation is there", func() bool {
		_, err := os.Stat(filepath.Join(downloads, "OR-LAB.join"))
		return err == nil
	})
	c.open("site?name=OR-LAB")
	c.fill("form[action=revoke]")
	c.says("The invitation of OR-LAB has ended.")
	c.open("message?id=" + string(waits))
	c.fill("form[action=hold-one]", "because", "a question")
	c.says("On hold: a question")
	c.fill("form[action=release-one]")
	c.says("Waits for SF-RC")
	c.open("site?name=SF-RC")
	c.fill("form[action=remove]", "confirm", "SF-RC")
	c.says("SF-RC is removed. 1 delivery")
	c.open("trouble")
	c.says("recipient-removed")
	c.fill("form[action=requeue]")
	c.says("is not on the network")
	c.fill("form[action=discard]", "confirm", string(waits))
	c.says("the hub keeps nothing more of it")
	c.check("trouble")
	c.fill("form[action=leave]")
	c.says("You have left the console")
	c.check("left")
}

// keepFocus sets the focus into the live part of a page. The part stays until the focus leaves it.
func keepFocus(c *chrome, w *world) {
	c.open("flow")
	c.says("CA-RC")
	eval[*int](c, `document.querySelector("[data-live] tbody a").focus()`)
	w.Hub.Admin(hub.ControlHold, hub.HoldRequest{Site: "PA-LAB"}, nil)
	_, lines := enter(c.t, w.link("")).follow("flow")
	for ticks := 0; ticks < 3 && lines.Scan(); { // another stream: this one ticks meanwhile
		if lines.Text() == "" {
			ticks++
		}
	}
	if !eval[bool](c, `document.activeElement.matches("[data-live] tbody a")`) {
		c.t.Error("the focus was lost")
	}
	if strings.Contains(eval[string](c, "document.body.innerText"), "PA-LAB is on hold.") {
		c.t.Error("the page was replaced under the focus")
	}
	eval[*int](c, "document.activeElement.blur()")
	c.says("PA-LAB is on hold.")
	w.Hub.Admin(hub.ControlUnhold, hub.HoldRequest{Site: "PA-LAB"}, nil)
}

// useKeyboard opens, fills and sends a form by the keyboard alone, and without script.
func useKeyboard(c *chrome, w *world) {
	t := c.t
	script := func(isOff bool) {
		send(c, emulation.SetScriptExecutionDisabled,
			emulation.SetScriptExecutionDisabledParams{Value: isOff})
	}
	script(true)
	c.open("site?name=FL-LAB")
	script(false)
	eval[*int](c, `document.querySelector("form[action=hold]").parentElement`+
		`.querySelector("summary").focus()`)
	c.do(chromedp.KeyEvent("\r"), chromedp.KeyEvent("\t"))
	if at := eval[string](c, "document.activeElement.name"); at != "because" {
		t.Fatalf("the keyboard reaches %q", at)
	}
	script(true)
	c.do(chromedp.KeyEvent("by hand"), chromedp.KeyEvent("\r"))
	testkit.Eventually(t, "FL-LAB is on hold", func() bool {
		for _, s := range w.sites() {
			if s.Site == "FL-LAB" {
				return s.Hold != nil && s.Hold.Because == "by hand"
			}
		}
		return false
	})
	script(false)
	w.Hub.Admin(hub.ControlUnhold, hub.HoldRequest{Site: "FL-LAB"}, nil)
}
