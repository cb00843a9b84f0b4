package agent

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"time"

	"sealpost/agent/stranger"
	"sealpost/certs"
	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/backoff"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// helloEvery is the pause between two hellos, which notice a new hub.
const helloEvery = 15 * time.Second

// Link is the state of the site's connection to its hub.
type Link struct {
	Connected   bool           `json:"connected"`
	Hub         string         `json:"hub,omitempty"` // the hub's name
	Trouble     reason.Reason  `json:"trouble,omitzero"`
	Refusal     string         `json:"refusal,omitempty"`  // the code of a hub that was reached
	Stranger    string         `json:"stranger,omitempty"` // issuer of a false hub's certificate
	Proxy       string         `json:"proxy,omitempty"`    // that lets no connection through
	Since       time.Time      `json:"since"`              // of the present state
	StartID     string         `json:"start_id,omitempty"`
	Incarnation id.Incarnation `json:"incarnation,omitempty"`
	Clock       reason.Reason  `json:"clock,omitzero"`     // how wrong this site's clock is
	Copy        *api.Copy      `json:"copy,omitempty"`     // another agent with this site's keys
	HubRole     string         `json:"hub_role,omitempty"` // at the hub, if it differs
	Hold        *api.Hold      `json:"hold,omitempty"`     // the hub's admin holds this site
	// Audit is how the hub's audit chain contradicts the head that this site has seen.
	Audit reason.Reason `json:"audit,omitzero"`
	// recipients that take nothing from this site
	BlockedBy []id.Site `json:"blocked_by,omitempty"`
	// recipients that take nothing from this site for another reason
	Withheld []api.Withheld `json:"withheld,omitempty"`
	// senders that this site has to compare before it takes their files
	Uncompared []api.Sender `json:"uncompared,omitempty"`
}

func newClient(cfg config.Agent, identity *certs.Identity, o api.ClientOptions,
	now func() time.Time) *api.Client {
	tls := certs.ClientTLS(identity, id.Hash(cfg.Network), hostsOf(cfg.Hub)...)
	if cfg.SmallHello {
		tls.CurvePreferences = certs.SmallCurves
	}
	tls.Time = now
	o.Hubs, o.TLS, o.Site = cfg.Hub, tls, id.Site(cfg.Site)
	return api.NewClient(o)
}

func userAgent(version string) string { return "sealpost/" + version }

func hostsOf(addresses []string) []string {
	var hosts []string
	for _, a := range addresses {
		if host, _, err := net.SplitHostPort(a); err == nil {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// keepLink sends hellos to the hub until ctx ends. It uploads the recipient key if the hub lacks
// it, renews the certificate in time, and reports a new start of the hub to the outbox. It returns
// api.ErrHeld if another agent of the site has started after this one.
func (a *Agent) keepLink(ctx context.Context) error {
	pause := backoff.Backoff{Min: 200 * time.Millisecond, Max: helloEvery}
	uploaded, isFirst := false, true
	for {
		a.watchRoster()
		a.witnessReceipt(ctx)
		a.rosterAsked = a.trust.Roster().Number
		hello, err := a.hub.Hello(ctx)
		if err == nil {
			err = a.welcome(ctx, hello, &uploaded)
		}
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, api.ErrHeld) {
			return reason.Err("agent-displaced", "site", a.site, "why", err)
		}
		a.welcomed(err)
		if err != nil {
			a.lost(a.explain(ctx, err))
			a.sleep(ctx, pause.After(api.RetryAfter(err)))
			continue
		}
		pause.Reset()
		a.size = sizeTrouble{}
		if isFirst { // the second one displaces an older agent
			isFirst = false
			continue
		}
		a.sleep(ctx, helloEvery)
	}
}

// sleep waits for d, or until another request shows that the link has changed.
func (a *Agent) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-a.changed:
	case <-ctx.Done():
	}
}

// heard compares the outcome of another request with the link. A change sends the next hello at
// once; a hub that answers after a broken line counts as connected even before.
func (a *Agent) heard(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if isOfLink(err) != a.link.Connected || err == nil && a.isUnwelcome {
		return // nothing new
	}
	if err == nil && a.link.Hub != "" && a.link.isLine() {
		a.link = Link{Connected: true, Hub: a.link.Hub, Since: time.Now().UTC(),
			StartID: a.link.StartID, Incarnation: a.link.Incarnation, Clock: a.link.Clock,
			Hold: a.link.Hold, BlockedBy: a.link.BlockedBy, Withheld: a.link.Withheld,
			Uncompared: a.link.Uncompared}
		a.linkChanges.Add(1)
		a.log.Info("connected", "hub", a.link.Hub)
	}
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// welcomed stores whether the hub answers and has refused something. Then its answers to other
// requests do not mean that the site is connected.
func (a *Agent) welcomed(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.isUnwelcome = err != nil && !isOfLink(err)
}

// isOfLink reports whether an error may mean that there is no connection, or none for this site.
func isOfLink(err error) bool {
	if _, ok := errors.AsType[*api.Error](err); !ok {
		return err != nil
	}
	return api.IsOfSite(err)
}

// isLine reports whether only a broken line keeps the site from its hub.
func (l Link) isLine() bool { return l.Refusal == "" && l.Stranger == "" && l.Proxy == "" }

func (a *Agent) welcome(ctx context.Context, hello api.Hello, uploaded *bool) error {
	if a.outbox != nil {
		a.outbox.HubExpires(hello.ExpiresAfter, hello.ExpiresOf)
	}
	if hello.Suite != a.cfg.Suite {
		return stranger.SuiteDiffers(hello.Suite, a.cfg.Suite)
	}
	a.lookAtOwn(hello)
	a.mu.Lock()
	a.rotation.hubVersion = hello.KeyVersion
	a.mu.Unlock()
	if a.cfg.Receives() && hello.MayReceive && (!*uploaded || hello.KeyHash != a.keyHash()) {
		if err := a.uploadKey(ctx); err != nil {
			return err
		}
		*uploaded = true
	}
	if a.now().After(a.identity.RenewAt()) {
		if err := a.renew(ctx); err != nil {
			a.log.Warn("certificate not renewed yet; trying again", "error", err,
				"expires", a.identity.NotAfter())
		} else {
			*uploaded = false // the statement is signed anew under the new certificate
		}
	}
	a.connected(hello, a.witness(ctx, hello))
	a.followRotation(hello)
	a.followRoster(ctx, hello.Roster)
	return nil
}

// connected stores the link of an accepted hello, and reports a new hub to the outbox and inbox.
func (a *Agent) connected(hello api.Hello, audit reason.Reason) {
	clock := reason.Of(certs.CheckClock(hello.Time, a.now()))
	a.mu.Lock()
	before := a.link
	a.link.Clock = clock
	isNew := before.StartID != hello.StartID || before.Incarnation != hello.Incarnation
	if !before.Connected || isNew {
		a.linkChanges.Add(1)
		a.link = Link{Connected: true, Hub: hello.Hub, Since: time.Now().UTC(),
			StartID: hello.StartID, Incarnation: hello.Incarnation, Clock: clock}
	}
	a.link.Copy, a.link.HubRole, a.link.BlockedBy = hello.Copy, "", hello.BlockedBy
	a.link.Hold, a.link.Audit = hello.Hold, audit
	a.link.Withheld, a.link.Uncompared = hello.Withheld, hello.Uncompared
	if role := hello.Role(); role != a.cfg.Role {
		a.link.HubRole = role
	}
	if (hello.Copy == nil) != (before.Copy == nil) || a.link.HubRole != before.HubRole ||
		(hello.Hold == nil) != (before.Hold == nil) || audit.Code != before.Audit.Code ||
		!slices.Equal(hello.BlockedBy, before.BlockedBy) ||
		!slices.Equal(hello.Withheld, before.Withheld) ||
		!slices.Equal(hello.Uncompared, before.Uncompared) {
		a.linkChanges.Add(1)
	}
	differs := a.link.HubRole
	a.mu.Unlock()
	if !clock.IsZero() && clock != before.Clock {
		a.log.Warn("clock differs", "reason", clock)
	}
	if differs != "" && differs != before.HubRole {
		a.log.Error("the hub has another role for this site", "role", a.cfg.Role, "hub_role",
			differs)
	}
	if !audit.IsZero() && audit.Code != before.Audit.Code {
		a.log.Error("the hub's past has changed", "reason", audit)
	}
	if hello.Copy != nil && before.Copy == nil {
		a.log.Error("another agent runs with this site's keys", "from", hello.Copy.From,
			"since", hello.Copy.Since)
	}
	logRefusals(a.log, before, hello)
	if hello.Hold != nil && before.Hold == nil {
		a.log.Warn("the hub's admin holds this site", "since", hello.Hold.Since, "because",
			hello.Hold.Because)
	}
	if !before.Connected {
		a.log.Info("connected", "hub", hello.Hub)
	}
	if isNew && a.outbox != nil {
		a.outbox.HubIsNew(hello.Incarnation)
	}
	if before.Incarnation != "" && before.Incarnation != hello.Incarnation && a.inbox != nil {
		a.inbox.Reconsider() // released deliveries of another hub are never leased again
	}
}

// lost stores the link of a failed hello, and logs a new trouble.
func (a *Agent) lost(now Link) {
	a.mu.Lock()
	defer a.mu.Unlock()
	// The difference of wrong clocks changes each time.
	same := a.link.Trouble == now.Trouble || !now.Clock.IsZero() && !a.link.Clock.IsZero()
	if a.link.Connected || !same {
		a.log.Warn("not connected; trying again", "reason", now.Trouble)
		now.Since, now.Hub = time.Now().UTC(), a.link.Hub
		now.StartID, now.Incarnation, now.Hold = a.link.StartID, a.link.Incarnation, a.link.Hold
		if now.Clock.IsZero() {
			now.Clock = a.link.Clock
		}
		a.link = now
		a.linkChanges.Add(1)
	}
}

// explain returns the link of a failed call, with its reason and remedy.
func (a *Agent) explain(ctx context.Context, err error) Link {
	if errors.Is(err, certs.ErrNotValidNow) {
		if hub, unknown := hubTime(ctx, a.cfg); unknown == nil {
			if wrong := certs.CheckClock(hub, a.now()); wrong != nil {
				return Link{Trouble: reason.New("hub-not-valid-by-clock", "why", wrong),
					Refusal: "hub-certificate-time", Clock: reason.Of(wrong)}
			}
		}
	}
	if why := reason.Of(err); why.Code == keyOfOlderState {
		return Link{Trouble: why, Refusal: string(keyOfOlderState)}
	}
	if l := strangerLink(ctx, err, a.cfg); !l.Trouble.IsZero() {
		return l
	}
	if !a.cfg.SmallHello && a.size.isDropped(ctx, err, a.cfg, time.Now()) {
		return Link{Trouble: stranger.LargeDropped().Line()}
	}
	site := stranger.Site{Name: a.site, Role: a.cfg.Role, Key: a.identity.Key(),
		Expires: a.identity.NotAfter(), Now: a.now()}
	r, ok := site.WhyRefused(err)
	switch {
	case ok && r.IsOfLine():
		return Link{Trouble: r.Line()}
	case ok:
		return Link{Trouble: r.Line(), Refusal: r.Code}
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok && len(a.cfg.Hub) == 1 {
		err = failed // the name of the call and of the only hub would not help a user
	}
	return Link{Trouble: stranger.Unreachable("", err).Says}
}

// sizeTrouble remembers whether the line drops the large first message of TLS. It belongs to the
// goroutine of keepLink.
type sizeTrouble struct {
	looked time.Time
	drops  bool
}

// sizeAgain is the pause between two tries of a small message.
const sizeAgain = time.Minute

// isDropped reports whether a call has failed because of the size of its first message.
func (s *sizeTrouble) isDropped(ctx context.Context, cause error, cfg config.Agent,
	now time.Time) bool {
	if !stranger.MayBeSize(cause) {
		return false
	}
	if now.Sub(s.looked) >= sizeAgain {
		s.looked = now
		s.drops = slices.ContainsFunc(cfg.Hub, func(address string) bool {
			return stranger.DropsLarge(ctx, address, id.Hash(cfg.Network), cause)
		})
	}
	return s.drops
}

// strangerLink returns the link of a call that ended at a proxy, or at a server in the hub's place.
func strangerLink(ctx context.Context, err error, cfg config.Agent) (l Link) {
	if proxy, ok := errors.AsType[*api.ProxyError](err); ok {
		return Link{Trouble: stranger.ByProxy(proxy).Line(), Proxy: proxy.Proxy}
	}
	if !maybeStranger(err) {
		return l
	}
	for _, address := range cfg.Hub {
		seen, err := stranger.Look(ctx, address, id.Hash(cfg.Network))
		if err == nil && !seen.Hub {
			return Link{Trouble: seen.Verdict(address).Says,
				Stranger: cmp.Or(seen.Issuer, "nobody")}
		}
	}
	return l
}

// Situation returns the situation of a site without a connection.
func (l Link) Situation() reason.Situation {
	switch {
	case l.Stranger != "":
		return reason.Intercepted
	case l.Proxy != "":
		return reason.ProxyShut
	case l.Refusal != "":
		return reason.RefusedByHub
	}
	return reason.NotConnected
}

// maybeStranger reports whether another server than the hub may have answered. It has not if the
// hub refused, the clock is wrong, or the connection failed before any answer.
func maybeStranger(err error) bool {
	if _, verdict := errors.AsType[*api.Error](err); verdict ||
		errors.Is(err, certs.ErrNotValidNow) {
		return false
	}
	failed, ok := errors.AsType[*net.OpError](err)
	if ok && (failed.Op == "dial" || failed.Op == "proxyconnect") {
		return false
	}
	network, ok := errors.AsType[net.Error](err)
	return !ok || !network.Timeout()
}

// renew fetches a new certificate for the same key. It takes effect for the next connection.
func (a *Agent) renew(ctx context.Context) error {
	csr, err := a.identity.CSR()
	if err != nil {
		return err
	}
	answer, err := a.hub.Renew(ctx, api.RenewRequest{CSR: string(csr)})
	if err != nil {
		return err
	}
	if err := a.identity.SetChain([]byte(answer.Chain), a.network, a.now()); err != nil {
		return err
	}
	a.hub.CloseIdle()
	a.log.Info("certificate renewed", "expires", a.identity.NotAfter())
	return nil
}

// logRefusals logs the sites that take nothing from this one, and those from which it takes
// nothing.
func logRefusals(log *slog.Logger, before Link, hello api.Hello) {
	siteChange{log, before.BlockedBy, hello.BlockedBy}.Warn("sites block this one")
	for _, why := range []string{api.WithheldUncompared, api.WithheldToday} {
		siteChange{log.With("why", why), withheldFor(before.Withheld, why),
			withheldFor(hello.Withheld, why)}.Warn("sites take nothing from this one for now")
	}
	siteChange{log, sendersOf(before.Uncompared), sendersOf(hello.Uncompared)}.Warn(
		"files of sites that were not compared wait")
}

// siteChange is a change of the sites in a trouble.
type siteChange struct {
	log         *slog.Logger
	before, now []id.Site
}

// Warn logs the trouble when the list has changed, and its end.
func (c siteChange) Warn(trouble string) {
	switch {
	case slices.Equal(c.before, c.now):
	case len(c.now) == 0:
		c.log.Info("ended: "+trouble, "sites", c.before)
	default:
		c.log.Warn(trouble, "sites", c.now)
	}
}

func sendersOf(list []api.Sender) (sites []id.Site) {
	for _, s := range list {
		sites = append(sites, s.Site)
	}
	return sites
}

// withheldFor lists the sites that take nothing for a reason.
func withheldFor(list []api.Withheld, why string) (sites []id.Site) {
	for _, w := range list {
		if w.Why == why {
			sites = append(sites, w.Site)
		}
	}
	return sites
}
