package doctor

import (
	"context"
	"time"

	"sealpost/config"
	"sealpost/internal/finding"
	"sealpost/internal/reason"
)

// roster checks the age of the roster, and that every joined site is on it. It is optional.
func roster(_ context.Context, p *subject, found func(finding.Finding)) {
	if p.absence != nil {
		return // a finding of running
	}
	check, r, now := reason.New("check-roster"), p.status.Roster, time.Now()
	do := reason.New("hub-roster-sign")
	days := int(r.Ends.Sub(now).Hours() / 24)
	switch {
	case r.Lacks > 0:
		found(finding.Failure(check, reason.New("hub-roster-lacks", "n", r.Lacks),
			reason.New("hub-roster-bring")))
	case r.Number == 0 && p.Config.Roster == config.RosterRequired:
		found(finding.Failure(check, reason.New("hub-roster-needed"), do))
	case r.Number == 0:
		found(finding.Good(check, reason.New("hub-roster-none")))
	case !now.Before(r.Ends):
		found(finding.Failure(check, reason.New("roster-ended", "n", r.Number, "ends", r.Ends),
			do))
	case r.EndsSoon(now):
		found(finding.Warning(check, reason.New("hub-roster-ends", "n", r.Number, "ends", r.Ends,
			"days", days), do))
	case len(r.Stolen) > 0:
		found(finding.Warning(check, reason.New("hub-roster-stolen", "n", r.Number,
			"sites", r.Stolen), run("sealpost hub remove "+string(r.Stolen[0]))))
	case len(r.Missing) > 0:
		found(finding.Warning(check, reason.New("hub-roster-misses", "n", r.Number,
			"sites", r.Missing), do))
	default:
		found(finding.Good(check, reason.New("hub-roster-good", "n", r.Number, "ends", r.Ends,
			"days", days)))
	}
}
