package agent

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/stranger"
	"sealpost/agent/trust"
	"sealpost/certs"
	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
	"sealpost/internal/spoken"
)

// JoinOptions are the choices of a site that joins its network.
type JoinOptions struct {
	Invitation certs.Invitation
	Dir        string // the site's folder, made when it is not there
	Kind       string // of the messages that it sends; empty: DAT
	Route      string // under which it sends; empty: <site>.<kind> in lower case
	// sites to which the route may lead; "route" alone: the first complete proposal. With "=" and a
	// fingerprint behind its name, a user has compared that of the site.
	Approve     []string
	FirstNumber int64  // of a day's messages; 0: 1
	SmallHello  bool   // small_hello of agent.toml
	Version     string // of the program
	Log         *slog.Logger
	Now         func() time.Time // by which certificates are judged; default time.Now
}

// Joined is the result of joining.
type Joined struct {
	Site        id.Site   `json:"site"`
	Role        string    `json:"role"`
	Dir         string    `json:"dir"`
	Fingerprint id.Hash   `json:"fingerprint"` // of the site's identity key, to compare by voice
	Words       string    `json:"words"`       // of the fingerprint
	Network     id.Hash   `json:"network"`
	Expires     time.Time `json:"expires"`         // of the certificate
	Again       bool      `json:"again,omitempty"` // the site had joined before
	// RoleBefore is the site's former role, if the invitation has another.
	RoleBefore string `json:"role_before,omitempty"`
	// Clock is how wrong this computer's clock is.
	Clock reason.Reason `json:"clock,omitzero"`
	// Warnings are doubts about the approved names.
	Warnings []reason.Reason `json:"warnings,omitempty"`
}

// Join makes a site's folder, keys and configuration and redeems its invitation for a certificate.
// It can be repeated after any failure, and after success: keys, ledger and settings stay. The hub
// must be reachable; the agent must not be running. It writes nothing before the options are
// checked and the hub has answered. Once the hub may know the key, the key stays.
func Join(ctx context.Context, o JoinOptions) (Joined, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	before, _ := config.LoadAgent(config.AgentFile(o.Dir)) //nolint:errcheck // plan does too
	p, err := plan(o)
	if err != nil {
		return Joined{}, err
	}
	if p.joined {
		err = mustBeStopped(p.cfg)
	} else {
		err = reach(ctx, p.cfg, o)
	}
	if err != nil {
		return Joined{}, err
	}
	cfg, err := p.configure()
	if err != nil {
		return Joined{}, err
	}
	loose, err := secretfile.EnterAsAdmin(cfg.State)
	if err != nil {
		return Joined{}, err
	}
	loose.Log(o.Log)
	lock, err := lockState(cfg.State)
	if errors.Is(err, fs.ErrPermission) {
		return Joined{}, err
	}
	if err != nil {
		return Joined{}, reason.Err("stop-to-join", "why", err)
	}
	defer lock.Close()
	identity, err := openIdentity(cfg.State)
	if err != nil {
		return Joined{}, err
	}
	j := Joined{Site: id.Site(cfg.Site), Role: cfg.Role, Dir: o.Dir, Fingerprint: identity.Key(),
		Words:   spoken.Words(identity.Key()),
		Network: id.Hash(cfg.Network), Again: identity.HasChain()}
	if j.Again && before.Role != j.Role {
		j.RoleBefore = before.Role
	}
	if j.Clock, err = enroll(ctx, cfg, identity, o); err != nil {
		return j, err
	}
	j.Expires = identity.NotAfter()
	if err := publishKey(ctx, cfg, identity, o); err != nil {
		return j, err
	}
	j.Warnings, err = approve(ctx, cfg, identity, o)
	return j, err
}

// joinPlan is the configuration that a join writes.
type joinPlan struct {
	dir    string // absolute
	cfg    config.Agent
	joined bool // the site has a certificate
}

// plan returns the new configuration of a folder: that of agent.toml, brought up to the options. It
// checks the options, and writes nothing.
func plan(o JoinOptions) (joinPlan, error) {
	inv := o.Invitation
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return joinPlan{}, err
	}
	p := joinPlan{dir: dir, cfg: config.DefaultAgent()}
	if file := config.OfOtherUse(dir, config.AgentFile(dir)); file != "" {
		return p, reason.Err("remote-folder-used", "dir", dir, "has", file)
	}
	stored, err := config.LoadAgent(config.AgentFile(dir))
	other := err == nil && (stored.Site != string(inv.Site) ||
		stored.Network != string(inv.Network))
	switch {
	case other && !hasJoined(stored):
		// Left behind by a wrong invitation, and of no more use.
	case other:
		return p, reason.Err("folder-of-other", "dir", dir, "site", stored.Site)
	case err == nil:
		p.cfg, p.joined = stored, hasJoined(stored)
	case !errors.Is(err, fs.ErrNotExist):
		return p, err
	}
	p.cfg.Site, p.cfg.Network, p.cfg.Suite, p.cfg.Role, p.cfg.Hub = string(inv.Site),
		string(inv.Network), inv.Suite, inv.Role, inv.Hub
	if inv.Roster != "" { // an invitation without it takes nothing back
		p.cfg.Roster = inv.Roster
	}
	p.cfg.SmallHello = p.cfg.SmallHello || o.SmallHello
	setTray(firstTray(&p.cfg), p.cfg.Site, o)
	if err := config.CheckAgent(relative(p.cfg, dir)); err != nil {
		return p, reason.Err("join-bad-value", "why", err)
	}
	if _, _, err := comparedSites(o.Approve); err != nil {
		return p, reason.Err("join-bad-value", "why", err)
	}
	return p, nil
}

// reach returns the error of a hub that does not answer, is not this network's, or is not believed.
// A site that has no certificate yet asks before it makes its keys.
func reach(ctx context.Context, cfg config.Agent, o JoinOptions) error {
	client := newClient(cfg, new(certs.Identity),
		api.ClientOptions{UserAgent: userAgent(o.Version)}, o.Now)
	defer client.CloseIdle()
	if _, err := client.Hello(ctx); !errors.Is(err, api.ErrNoCert) {
		return notEnrolled(ctx, err, cfg, o)
	}
	return nil
}

// mustBeStopped returns an error if the agent of a joined site runs: nothing may be written then.
func mustBeStopped(cfg config.Agent) error {
	lock, err := lockState(cfg.State)
	if reason.Of(err).Code == "agent-runs" {
		return reason.Err("stop-to-join", "why", err)
	}
	if err != nil {
		return nil // Join reports the rest when it takes the lock
	}
	return lock.Close()
}

// configure makes the folder and its agent.toml, or brings an old agent.toml up to the plan.
func (p joinPlan) configure() (config.Agent, error) {
	// an account that may write here may replace the state folder
	if err := durable.MkdirAll(p.dir, 0o755); err != nil {
		return p.cfg, err
	}
	file := config.AgentFile(p.dir)
	if err := config.WriteAgent(file, relative(p.cfg, p.dir)); err != nil {
		return p.cfg, err
	}
	cfg, err := config.LoadAgent(file)
	if err != nil {
		return cfg, err
	}
	return cfg, makeFolders(cfg)
}

// firstTray is the one of which join's flags speak: that of [outbox], unless there are only others.
func firstTray(cfg *config.Agent) *config.Tray {
	if cfg.Outbox.Route == "" && len(cfg.Tray) > 0 {
		return &cfg.Tray[0]
	}
	return &cfg.Outbox
}

func setTray(t *config.Tray, site string, o JoinOptions) {
	if o.Kind != "" {
		t.Kind = o.Kind
	}
	if o.FirstNumber > 0 {
		t.FirstNumber = o.FirstNumber
	}
	if o.Route != "" {
		t.Route = o.Route
	}
	if t.Route == "" {
		t.Route = strings.ToLower(site + "." + t.Kind)
	}
}

// hasJoined reports whether the site has a certificate.
func hasJoined(cfg config.Agent) bool {
	_, err := os.Stat(filepath.Join(cfg.State, "chain.pem"))
	return !errors.Is(err, fs.ErrNotExist)
}

// relative makes the paths under dir relative, so that the folder can be moved.
func relative(cfg config.Agent, dir string) config.Agent {
	paths := []*string{&cfg.State, &cfg.Outbox.Dir, &cfg.Inbox.Dir}
	cfg.Tray = slices.Clone(cfg.Tray)
	for i := range cfg.Tray {
		paths = append(paths, &cfg.Tray[i].Dir)
	}
	for _, path := range paths {
		if rel, err := filepath.Rel(dir, *path); err == nil && filepath.IsAbs(*path) &&
			filepath.IsLocal(rel) {
			*path = rel
		}
	}
	return cfg
}

func makeFolders(cfg config.Agent) error {
	if err := secretfile.MkdirAll(cfg.State); err != nil {
		return err
	}
	for _, t := range cfg.Trays() {
		for _, folder := range t.Folders() {
			if err := durable.MkdirAll(folder, 0o777); err != nil {
				return err
			}
		}
	}
	if cfg.Receives() {
		return durable.MkdirAll(cfg.Inbox.Dir, 0o777)
	}
	return nil
}

// enroll redeems the invitation, and returns the error of the clock, if it has one.
func enroll(ctx context.Context, cfg config.Agent, identity *certs.Identity,
	o JoinOptions) (clock reason.Reason, err error) {
	inv := o.Invitation
	client := newClient(cfg, identity, api.ClientOptions{UserAgent: userAgent(o.Version)}, o.Now)
	defer client.CloseIdle()
	csr, err := identity.CSR()
	if err != nil {
		return clock, err
	}
	answer, err := client.Enroll(ctx, api.EnrollRequest{Site: inv.Site, Secret: inv.Secret,
		CSR: string(csr)})
	if errors.Is(err, api.ErrInvitation) && identity.HasChain() &&
		o.Now().Before(identity.NotAfter()) {
		return clock, nil // joined before, and the invitation is not needed any more
	}
	if errors.Is(err, api.ErrOtherKey) {
		site := stranger.Site{Name: inv.Site, Role: inv.Role, Key: identity.Key()}
		return clock, site.OtherKeyAdmitted()
	}
	if err != nil {
		return clock, notEnrolled(ctx, err, cfg, o)
	}
	if err := certs.CheckClock(answer.Time, o.Now()); err != nil {
		clock = reason.Of(err)
	}
	site, err := identity.CheckChain([]byte(answer.Chain), inv.Network, o.Now())
	if err == nil && site != inv.Site {
		return clock, reason.Err("certificate-for-other", "got", site, "want", inv.Site)
	}
	if err == nil {
		err = identity.SetChain([]byte(answer.Chain), inv.Network, o.Now())
	}
	if errors.Is(err, certs.ErrNotValidNow) && !clock.IsZero() {
		return clock, reason.Err("certificate-not-here", "clock", clock)
	}
	return clock, err
}

// notEnrolled returns the error of a hub that did not enrol this site, with the ways out.
func notEnrolled(ctx context.Context, err error, cfg config.Agent, o JoinOptions) error {
	if errors.Is(err, certs.ErrNotValidNow) {
		if hub, unknown := hubTime(ctx, cfg); unknown == nil {
			if wrong := certs.CheckClock(hub, o.Now()); wrong != nil {
				return reason.Err("clock-first", "why", wrong)
			}
		}
	}
	return explainEnroll(ctx, err, cfg, o.Invitation, o.Now())
}

func isName(err error) bool {
	_, ok := errors.AsType[*certs.NameError](err)
	return ok
}

func explainEnroll(ctx context.Context, err error, cfg config.Agent, inv certs.Invitation,
	now time.Time) error {
	if l := strangerLink(ctx, err, cfg); !l.Trouble.IsZero() {
		return reason.Err("join-intercepted", "trouble", l.Trouble,
			"ask", l.Situation().Words().Ask)
	}
	switch {
	case errors.Is(err, api.ErrInvitation):
		return reason.Err("invitation-refused", "site", inv.Site, "why", err)
	case errors.Is(err, certs.ErrUntrusted) && !isName(err):
		return reason.Err("join-not-the-hub", "hosts", inv.Hub, "why", err)
	case errors.Is(err, certs.ErrNotValidNow):
		return reason.Err("join-hub-not-now", "now", now, "why", err)
	}
	if !cfg.SmallHello && slices.ContainsFunc(cfg.Hub, func(address string) bool {
		return stranger.DropsLarge(ctx, address, id.Hash(cfg.Network), err)
	}) {
		return reason.Err("join-large-dropped", "what", reason.New("large-hello-dropped"))
	}
	if r, ok := stranger.WhyRefused(err); ok {
		return reason.Err("join-refused", "reason", r.Line(), "why", err)
	}
	return reason.Err("join-hub-not-reached", "hosts", inv.Hub, "why", err)
}

// publishKey makes the site's recipient key and gives the hub the signed statement of it, if the
// site receives. The client is a new one: the connection of the enrolment was made without a
// certificate.
func publishKey(ctx context.Context, cfg config.Agent, identity *certs.Identity,
	o JoinOptions) error {
	keys, err := openKeys(cfg)
	if err != nil || !cfg.Receives() {
		return err
	}
	signed, err := signedKey(cfg, keys, identity, o.Now())
	if err != nil {
		return err
	}
	client := newClient(cfg, identity, api.ClientOptions{UserAgent: userAgent(o.Version)}, o.Now)
	defer client.CloseIdle()
	if err := client.PutKey(ctx, signed); err != nil {
		return reason.Err("key-not-uploaded", "why", err)
	}
	return nil
}

// approve writes the approvals that were given with the command. Names of no site are approved in
// advance, with a warning: the sites of a network join in any order.
func approve(ctx context.Context, cfg config.Agent, identity *certs.Identity,
	o JoinOptions) (warnings []reason.Reason, err error) {
	known := o.Invitation.Fingerprints
	if len(known) == 0 && (len(o.Approve) == 0 || !cfg.Sends()) {
		return nil, nil
	}
	l, err := openLedger(filepath.Join(cfg.State, "ledger.db"), o.Log)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	t := trust.Trust{Ledger: l, Log: o.Log, Now: o.Now}
	sites, compared, err := comparedSites(o.Approve)
	if err != nil {
		return nil, err
	}
	for site, identity := range compared {
		if _, err := t.Accept(ctx, site, string(identity)); err != nil {
			return nil, err
		}
	}
	for site, identity := range known {
		if err := t.Identity(ctx, site, identity); err != nil && !errors.Is(err, trust.ErrPin) {
			return nil, err // the status tells a difference from a pin
		}
	}
	if len(o.Approve) == 0 || !cfg.Sends() {
		return nil, nil
	}
	address := id.Address{RoutingKey: firstTray(&cfg).Route}
	if sites, err = changed(ctx, l, address, sites, ""); err == nil {
		err = t.Approve(ctx, address, sites)
	}
	if err != nil {
		return nil, err
	}
	client := newClient(cfg, identity, api.ClientOptions{UserAgent: userAgent(o.Version)}, o.Now)
	defer client.CloseIdle()
	strays, err := straysOf(ctx, client, id.Site(cfg.Site), sites, nil)
	if err != nil || len(strays) == 0 { // the status will say it
		return nil, nil
	}
	return []reason.Reason{reason.New("not-site-yet", "strays", strays, "known", nil)}, nil
}

// comparedSites parses the approval of a join: sites, each with its fingerprint if a user has
// compared it, or "route".
func comparedSites(names []string) (sites []id.Site, compared map[id.Site]id.Hash, err error) {
	compared = map[id.Site]id.Hash{}
	plain := make([]string, len(names))
	for i, name := range names {
		site, fingerprint, has := strings.Cut(name, "=")
		plain[i] = site
		if !has {
			continue
		}
		identity, err := trust.ParseFingerprint(id.Site(site), fingerprint)
		if err != nil {
			return nil, nil, err
		}
		compared[id.Site(strings.TrimSpace(site))] = identity
	}
	sites = approvedSites(plain)
	for _, site := range sites {
		if _, err := id.ParseSite(string(site)); err != nil {
			return nil, nil, err
		}
	}
	return sites, compared, nil
}

// approvedSites parses an approval: sites, or "route" for the hub's first proposal.
func approvedSites(names []string) []id.Site {
	if len(names) == 1 && names[0] == ledger.ApproveRoute {
		return nil
	}
	sites := make([]id.Site, len(names))
	for i, n := range names {
		sites[i] = id.Site(strings.TrimSpace(n))
	}
	return sites
}
