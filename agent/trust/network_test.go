package trust_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"go.uber.org/goleak"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/testkit"
	"sealpost/internal/testnet"
	"sealpost/statement"
)

var must = testkit.Must

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// network is an authority and the trust of FL-LAB, in a real ledger.
type network struct {
	t         *testing.T
	root      *certs.Root
	authority *certs.Authority
	*trust.Trust
	log bytes.Buffer
	now time.Time
	dir string
}

// newNetwork returns a network without approvals and pins.
func newNetwork(t *testing.T) *network {
	t.Helper()
	root, err := certs.InitRoot(t.TempDir(), "TEST")
	must(t, err)
	n := &network{t: t, now: start, dir: t.TempDir(), root: root}
	n.authority, err = certs.InitAuthority(t.TempDir(), root, start)
	must(t, err)
	n.open()
	t.Cleanup(func() { must(t, n.Ledger.Close()) })
	return n
}

func (n *network) open() {
	n.t.Helper()
	l, err := ledger.Open(filepath.Join(n.dir, "ledger.db"))
	must(n.t, err)
	n.Trust = &trust.Trust{Ledger: l, Network: n.authority.Network(), Suite: "x25519",
		Verifier: certs.NewVerifier(n.authority.Root()),
		Now:      func() time.Time { return n.now },
		Log:      slog.New(slog.NewTextHandler(&n.log, nil))}
	must(n.t, n.Load(n.t.Context()))
}

// reopen restarts the agent.
func (n *network) reopen() {
	n.t.Helper()
	must(n.t, n.Ledger.Close())
	n.open()
}

// loseLedger restarts the agent without its ledger.
func (n *network) loseLedger() {
	n.t.Helper()
	must(n.t, n.Ledger.Close())
	files, err := filepath.Glob(filepath.Join(n.dir, "ledger.db*"))
	must(n.t, err)
	for _, f := range files {
		must(n.t, os.Remove(f))
	}
	n.open()
}

// peer is another site, with its identity and its recipient-key statement.
type peer struct {
	n        *network
	site     id.Site
	identity *certs.Identity
	key      statement.RecipientKey
}

// peer returns a site with a new identity and the first version of a new recipient key.
func (n *network) peer(site id.Site) *peer {
	n.t.Helper()
	p := &peer{n: n, site: site, identity: n.identity(site, n.now)}
	p.key = statement.RecipientKey{V: 1, Network: n.Network, Site: site, Recipient: recipient(n.t),
		Version: 1, Created: n.now}
	return p
}

func (n *network) identity(site id.Site, issued time.Time) *certs.Identity {
	n.t.Helper()
	return testnet.Issue(n.t, n.authority, site, issued)
}

func recipient(t *testing.T) string {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	must(t, err)
	return key.Recipient().String()
}

// next returns the site with its next recipient key.
func (p *peer) next() *peer {
	p.n.t.Helper()
	q := *p
	q.key.Recipient, q.key.Version, q.key.Prev = recipient(p.n.t), p.key.Version+1, p.key.Hash()
	return &q
}

// rotated is next with an overlap: the site opens with the key before for some time.
func (p *peer) rotated(overlap time.Duration) *peer {
	p.n.t.Helper()
	return p.next().with(func(k *statement.RecipientKey) { k.PrevOpens = p.n.now.Add(overlap) })
}

// with returns the site with a changed statement.
func (p *peer) with(change func(*statement.RecipientKey)) *peer {
	q := *p
	change(&q.key)
	return &q
}

// proposed returns the hub's proposal of the site.
func (p *peer) proposed() api.RouteRecipient {
	p.n.t.Helper()
	jws, err := statement.Sign(p.identity, p.key)
	must(p.n.t, err)
	return api.RouteRecipient{Site: p.site, Statement: jws,
		KeyHash: statement.RecipientKeyHash(p.key.Recipient)}
}

var dat = id.Address{RoutingKey: "fl-lab.dat"}

// route returns a consistent proposal.
func (n *network) route(address id.Address, list ...api.RouteRecipient) api.Route {
	return api.Route{Address: address, Recipients: list,
		Version: api.RouteVersion(n.Network, address, list)}
}

func proposals(peers ...*peer) (list []api.RouteRecipient) {
	for _, p := range peers {
		list = append(list, p.proposed())
	}
	return list
}

func (n *network) approve(sites ...id.Site) {
	n.t.Helper()
	must(n.t, n.Approve(n.t.Context(), dat, sites))
}

// sends checks that the recipients for fl-lab.dat are exactly these keys.
func (n *network) sends(peers ...*peer) {
	n.t.Helper()
	got, err := n.Decide(n.t.Context(), dat, n.route(dat, proposals(peers...)...))
	if err != nil {
		n.t.Fatalf("nothing is sent: %v", err)
	}
	var want, have []string
	for _, p := range peers {
		want = append(want, string(p.site)+" "+p.key.Recipient)
	}
	for _, r := range got.Recipients {
		have = append(have, string(r.Site)+" "+r.Key)
	}
	if fmt.Sprint(have) != fmt.Sprint(want) {
		n.t.Fatalf("sealed for %v, not for %v", have, want)
	}
}

// waits checks that nothing is sent for a proposal, and that the reason has these words.
func (n *network) waits(route api.Route, words ...string) {
	n.t.Helper()
	n.waitsFor(dat, route, words...)
}

func (n *network) waitsFor(asked id.Address, route api.Route, words ...string) {
	n.t.Helper()
	got, err := n.Decide(n.t.Context(), asked, route)
	why, ok := err.(*trust.Waiting)
	if !ok || got.Recipients != nil {
		n.t.Fatalf("got %v, %v; want it to wait", got, err)
	}
	for _, w := range words {
		if !strings.Contains(why.Error(), w) {
			n.t.Errorf("it says %q, without %q", why.Reason, w)
		}
	}
}

func (n *network) waitsOn(p *peer, words ...string) {
	n.t.Helper()
	n.waits(n.route(dat, p.proposed()), words...)
}

func (n *network) pin(site id.Site) (pin ledger.Pin) {
	n.t.Helper()
	must(n.t, n.Ledger.View(n.t.Context(), func(tx *ledger.Tx) (err error) {
		pin, err = tx.Pin(site)
		return err
	}))
	return pin
}

// logged returns the number of these words in the log.
func (n *network) logged(words string) int { return strings.Count(n.log.String(), words) }
