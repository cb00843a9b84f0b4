package console_test

import (
	"strings"
	"testing"

	"sealpost/hub"
	"sealpost/internal/testkit"
)

// Text from outside shows as text: it makes no element, hides nothing and reorders nothing.
func TestHostileTextOnPages(t *testing.T) {
	w := newWorld(t)
	m := w.drop("a.dat", "x")
	w.delivered(m)
	w.centre.Stop()
	m = w.drop("b.dat", "x")
	c := enter(t, w.link(""))
	texts := append(testkit.EvilTexts(), `<script>alert(1)</script>`,
		`"><img src=x onerror=alert(1)>`, `{{.User}}`, `javascript:alert(1)`)
	for _, text := range texts {
		if len(text) > 150 {
			text = text[:150]
		}
		text = strings.ToValidUTF8(text, "?")
		w.Hub.Admin(hub.ControlHold, hub.HoldRequest{Site: "CA-RC", Because: text}, nil)
		w.Hub.Admin(hub.ControlHoldOne, hub.HoldOneRequest{
			LetterRequest: hub.LetterRequest{Message: m}, Because: text}, nil)
		for _, page := range []string{"flow", "sites", "site?name=CA-RC", "trouble",
			"message?id=" + string(m), "audit"} {
			page := c.get(page)
			testkit.Harmless(t, page)
			for _, bad := range []string{"<script>alert", "<img src=x", `href="javascript:`} {
				if strings.Contains(page, bad) {
					t.Errorf("%q makes an element: %s", text, page)
				}
			}
		}
		w.Hub.Admin(hub.ControlUnhold, hub.HoldRequest{Site: "CA-RC"}, nil)
	}
	for _, query := range []string{"sites?q=%22%3E%3Cimg%20src=x%3E",
		"messages?from=%3Cscript%3Ealert",
		"queues?key=%22%3E%3Cimg%20src=x%3E", "site?name=%3Cscript%3Ealert"} {
		_, _, page := c.do("GET", c.base+query, nil)
		if strings.Contains(page, "<img src=x") || strings.Contains(page, "<script>alert") ||
			strings.Contains(page, "<SCRIPT>ALERT") {
			t.Errorf("%s makes an element", query)
		}
	}
}
