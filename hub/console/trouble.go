package console

import (
	"strconv"

	"sealpost/hub"
	"sealpost/spool"
)

const letterPage = 50

// trouble shows all that needs an admin: dead letters, refusals, holds, limits and losses.
func trouble(v *visit) error {
	data := struct {
		Lost     string
		Dead     hub.DeadAnswer
		Expiring []hub.SiteStatus
		Full     []siteRow
		Hub      []limit
		HubFull  string
		Holds    hub.HoldsAnswer
		Refused  search
	}{}
	status, err := ask[hub.Status](v, hub.ControlStatus, hub.Nothing{})
	if err != nil {
		return err
	}
	if status.Spool.Lost != nil {
		data.Lost = sentence(hub.LossReason(*status.Spool.Lost).String())
	}
	after, _ := strconv.ParseUint(v.field("after"), 10, 64)
	if data.Dead, err = ask[hub.DeadAnswer](v, hub.ControlDead,
		hub.DeadRequest{After: spool.Cursor(after), Max: letterPage}); err != nil {
		return err
	}
	sites, err := ask[hub.SitesAnswer](v, hub.ControlSites, hub.Nothing{})
	if err != nil {
		return err
	}
	for _, s := range sites.Sites {
		if !s.OldestExpires.IsZero() {
			data.Expiring = append(data.Expiring, s)
		}
		if isFull(s.Usage) {
			data.Full = append(data.Full, siteRow{s, true})
		}
	}
	usage, err := ask[hub.UsageAnswer](v, hub.ControlUsage, hub.Nothing{})
	if err != nil {
		return err
	}
	data.Hub = append(limitRows("the hub", usage.Hub), limitRows("dead letters", usage.Dead)...)
	if full := usage.Hub.Full(); !full.IsZero() {
		data.HubFull = sentence(full.String())
	}
	if data.Holds, err = ask[hub.HoldsAnswer](v, hub.ControlHolds, hub.Nothing{}); err != nil {
		return err
	}
	if err := v.searchAll(&data.Refused, hub.MessagesRequest{State: spool.OutcomeRefused,
		Max: messagePage}); err != nil {
		return err
	}
	return v.page("trouble", "Trouble", data)
}

// Why returns the reason why a site takes or gives nothing more.
func (r siteRow) Why() string {
	for _, q := range []*hub.QuotaState{r.Usage.Send, r.Usage.Queue} {
		if q != nil {
			if full := q.Full(); !full.IsZero() {
				return sentence(full.String())
			}
		}
	}
	return ""
}

// acknowledge ends the report of lost commits.
func acknowledge(v *visit) error {
	if err := v.confirmed("read"); err != nil {
		return err
	}
	return act(v, hub.ControlAcknowledge, hub.Nothing{}, func(out hub.Changed) string {
		return changed(out, "The report of lost commits has ended.")
	})
}
