package doctor

import (
	"context"

	"sealpost/hub"
	"sealpost/internal/finding"
	"sealpost/internal/reason"
)

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
