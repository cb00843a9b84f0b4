package doctor

import (
	"context"

	"sealpost/hub"
	"sealpost/internal/finding"
	"sealpost/internal/reason"
	"sealpost/internal/shell"
)

// records names the sites that have not read old outcomes. The hub keeps their records.
func records(_ context.Context, p *subject, found func(finding.Finding)) {
	if p.absence != nil {
		return // a finding of running
	}
	check, r := reason.New("check-records"), p.status.Records
	days := int(r.Keep.Hours() / 24)
	var oldest any
	if !r.Oldest.IsZero() {
		oldest = r.Oldest
	}
	switch {
	case r.Keep == 0:
		found(finding.Good(check, reason.New("hub-records-for-ever", "oldest", oldest)))
	case len(r.Unread) > 0:
		found(finding.Warning(check, reason.New("hub-records-unread", "sites", r.Unread,
			"days", days), reason.New("hub-records-remove")))
	default:
		found(finding.Good(check, reason.New("hub-records-good", "days", days, "oldest", oldest)))
	}
}

// losses reports lost commits until an admin acknowledges them.
func losses(_ context.Context, p *subject, found func(finding.Finding)) {
	if p.absence != nil {
		return // a finding of running
	}
	check := reason.New("check-losses")
	if l := p.status.Spool.Lost; l != nil {
		found(finding.Failure(check, hub.LossReason(*l), reason.New("hub-lost-do", "command",
			shell.Join("sealpost", "hub", "acknowledge", "--dir", p.Dir))))
		return
	}
	found(finding.Good(check, reason.New("hub-lost-nothing")))
}

// quotas names the sites, the queues and the hub that have reached one of their limits.
func quotas(ctx context.Context, p *subject, found func(finding.Finding)) {
	if p.absence != nil {
		return // a finding of running
	}
	var answer hub.UsageAnswer
	if err := p.ask(ctx, hub.ControlUsage, &answer); err != nil {
		found(finding.Warning(reason.New("check-quota-hub"), reason.Of(err), reason.New("as-hub")))
		return
	}
	look := func(check reason.Reason, h *hub.QuotaState) {
		if h == nil {
			return
		}
		if full := h.Full(); !full.IsZero() {
			found(finding.Warning(check, full, reason.New("hub-see-quota")))
		}
	}
	look(reason.New("check-quota-hub"), &answer.Hub)
	for _, s := range answer.Sites {
		look(reason.New("check-quota", "owner", s.Site), s.Send)
		look(reason.New("check-quota", "owner", s.Site.Queue()), s.Queue)
	}
}
