package doctor

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"sealpost/hub"
	"sealpost/internal/control"
	"sealpost/internal/finding"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/shell"
)

// longWait is the age from which on a waiting delivery, or a site that is not seen, is reported.
const longWait = 24 * time.Hour

// logs checks the log's level.
func logs(_ context.Context, p *subject, found func(finding.Finding)) {
	check := reason.New("check-log")
	switch p.Config.LogLevel {
	case "debug":
		found(finding.Warning(check, reason.New("hub-log-debug"), reason.New("hub-log-less")))
	case "error":
		found(finding.Warning(check, reason.New("hub-log-errors"), reason.New("hub-log-more")))
	default:
		found(finding.Good(check, reason.New("hub-log-good", "level", p.Config.LogLevel)))
	}
}

// running reports whether the hub runs, and with which configuration.
func running(_ context.Context, p *subject, found func(finding.Finding)) {
	check := reason.New("check-hub-runs")
	switch {
	case p.isStopped():
		found(finding.Failure(check, reason.New("hub-stopped"), reason.New("hub-start", "command",
			shell.Join("sealpost", "hub", "run", "--dir", p.Dir))))
	case errors.Is(p.absence, control.ErrHindered):
		found(finding.Failure(check, reason.Of(p.absence), reason.New("do-as-said")))
	case p.absence != nil:
		found(finding.Warning(check, reason.Of(p.absence), reason.New("as-hub")))
	default:
		found(finding.Good(check, reason.New("hub-runs", "since", p.status.Started,
			"version", p.status.Version)))
	}
}

// queues names the queues in which a delivery waits for a long time.
func queues(ctx context.Context, p *subject, found func(finding.Finding)) {
	if p.absence != nil {
		return // a finding of running
	}
	var answer hub.QueuesAnswer
	if err := p.ask(ctx, hub.ControlQueues, &answer); err != nil {
		found(finding.Warning(reason.New("check-queues"), reason.Of(err), reason.New("as-hub")))
		return
	}
	count := 0
	for _, q := range answer.Queues {
		if f, isLate := overdue(q); isLate {
			count++
			found(f)
		}
	}
	if count == 0 {
		found(finding.Good(reason.New("check-queues"),
			reason.New("hub-queues-good", "waiting", p.status.Waiting)))
	}
}

// overdue reports whether a delivery waits in the queue for a long time.
func overdue(q hub.QueueStatus) (f finding.Finding, isLate bool) {
	if q.Waiting == 0 || time.Since(q.Oldest) <= longWait {
		return f, false
	}
	return finding.Warning(reason.New("check-queue", "queue", q.Name),
		reason.New("hub-queue-late", "n", q.Waiting, "since", q.Oldest),
		reason.New("hub-see-site", "site", q.Site)), true
}

// sites names the sites that are not seen, that run twice or in another role, and those that knock.
func sites(ctx context.Context, p *subject, found func(finding.Finding)) {
	if p.absence != nil {
		return // a finding of running
	}
	var answer hub.SitesAnswer
	if err := p.ask(ctx, hub.ControlSites, &answer); err != nil {
		found(finding.Warning(reason.New("check-sites"), reason.Of(err), reason.New("as-hub")))
		return
	}
	joined, bad := 0, 0
	note := func(f finding.Finding) { bad++; found(f) }
	for _, s := range answer.Sites {
		if s.State != hub.SiteJoined {
			continue
		}
		joined++
		p.site(s, note)
	}
	sharedKeys(answer.Sites, note)
	for _, k := range answer.Knocking {
		note(finding.Warning(reason.New("check-knock", "site", k.Site),
			reason.New("hub-knocks", "why", k.Reason, "n", k.Count, "from", k.From,
				"last", k.Last), reason.New("hub-compare-first", "command", k.Admit)))
	}
	if bad == 0 {
		found(finding.Good(reason.New("check-sites"), reason.New("hub-sites-good", "n", joined)))
	}
}

// sharedKeys names the sites with the key of another one. Senders seal nothing for either of two
// sites with one recipient key.
func sharedKeys(sites []hub.SiteStatus, note func(finding.Finding)) {
	type key struct {
		use  string
		hash id.Hash
	}
	by := map[key][]id.Site{}
	for _, s := range sites {
		if s.State != hub.SiteJoined {
			continue
		}
		for _, k := range []key{{"identity", s.Fingerprint}, {"recipient", s.KeyHash}} {
			if k.hash != "" {
				by[k] = append(by[k], s.Site)
			}
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(by), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.use, b.use), cmp.Compare(a.hash, b.hash))
	}) {
		if sites := by[k]; len(sites) > 1 {
			note(finding.Warning(reason.New("check-sites"), reason.New("hub-sites-share-key",
				"sites", sites, "use", k.use, "key", k.hash), reason.New("hub-own-keys",
				"site", sites[1])))
		}
	}
}

// site checks a site that has joined.
func (p *subject) site(s hub.SiteStatus, note func(finding.Finding)) {
	check := reason.New("check-site", "site", s.Site)
	seen := s.LastSeen
	if seen.IsZero() {
		seen = p.status.Started // the hub knows no earlier time
	}
	switch {
	case len(s.Copies) > 1:
		note(finding.Failure(check, reason.New("hub-site-copies", "from", s.Copies),
			reason.New("hub-stop-copy")))
	case s.Connections == 0 && time.Since(seen) > longWait:
		note(finding.Warning(check, reason.New("hub-site-unseen", "since", seen),
			reason.New("hub-call-site", "site", s.Site)))
	}
	if s.Hold != nil {
		var because any
		if s.Hold.Because != "" {
			because = s.Hold.Because
		}
		note(finding.Warning(check, reason.New("hub-site-held", "since", s.Hold.Since,
			"because", because), reason.New("hub-release-site", "command",
			shell.Join("sealpost", "hub", "release", string(s.Site), "--dir", p.Dir))))
	}
	if s.RunsAs != "" {
		note(finding.Warning(check,
			reason.New("hub-site-role", "role", s.Role, "runs", s.RunsAs),
			reason.New("hub-change-role", "site", s.Site)))
	}
}

// export warns if a lost hub could not be restored as it is now.
func export(ctx context.Context, p *subject, found func(finding.Finding)) {
	if p.absence != nil {
		return // a finding of running
	}
	check := reason.New("check-export")
	var last hub.LastExport
	err := p.ask(ctx, hub.ControlLastExport, &last)
	do := reason.New("hub-export-again", "command",
		shell.Join("sealpost", "hub", "export", p.Config.Name+".export", "--dir", p.Dir))
	switch {
	case err != nil:
		found(finding.Warning(check, reason.Of(err), reason.New("as-hub")))
	case last.Changed && last.Made.IsZero():
		found(finding.Warning(check, reason.New("hub-never-exported"), do))
	case last.Changed:
		found(finding.Warning(check, reason.New("hub-export-old", "made", last.Made), do))
	default:
		found(finding.Good(check, reason.New("hub-export-good", "made", last.Made)))
	}
}
