package hub

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"log/slog"

	"sealpost/config"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/spool"
)

// siteQuota holds the limits of one site that an admin has set; 0: the default.
type siteQuota struct {
	Send  spool.Quota `json:"send,omitzero"`  // of the site as a sender
	Queue spool.Quota `json:"queue,omitzero"` // of its queue
	// after which a delivery for it ends undelivered; neverExpires: never
	Expires time.Duration `json:"expires_ns,omitempty"`
}

// neverExpires is the time of a site whose deliveries do not end for their age.
const neverExpires = -1

// expiresAfter returns the time after which a delivery for a site ends undelivered; 0: never.
func (h *Hub) expiresAfter(s site) time.Duration {
	switch s.Quota.Expires {
	case 0:
		return time.Duration(h.deliveries.Load().ExpiresAfter)
	case neverExpires:
		return 0
	}
	return s.Quota.Expires
}

// ownExpiries returns the times of the sites that have one of their own; 0: never.
func (h *Hub) ownExpiries() (own map[id.Site]time.Duration) {
	for _, s := range h.dir.view().sites {
		if s.Quota.Expires != 0 && !s.isRemoved() {
			if own == nil {
				own = map[id.Site]time.Duration{}
			}
			own[s.Name] = h.expiresAfter(s)
		}
	}
	return own
}

// quotas are the limits in use: those of hub.toml, or of the size of the disk, and those of sites.
func (h *Hub) quotas() spool.Quotas {
	c := h.quota.Load().For(h.capacity)
	q := spool.Quotas{
		Hub: spool.Quota{Bytes: int64(c.HubBytes), Uploads: int64(c.HubUploads),
			Envelopes: int64(c.HubEnvelopes), Messages: int64(c.HubMessages)},
		Site: spool.Quota{Bytes: int64(c.SiteBytes), Reserved: int64(c.SiteReserved),
			Uploads: int64(c.SiteUploads), Envelopes: int64(c.SiteEnvelopes),
			Messages: int64(c.SiteMessages), Metadata: int64(c.SiteMetadata)},
		Queue: spool.Quota{Bytes: int64(c.QueueBytes), Envelopes: int64(c.QueueEnvelopes),
			Messages: int64(c.QueueMessages)},
		Sites: map[id.Site]spool.Quota{}, Queues: map[string]spool.Quota{},
	}
	if h.deliveries.Load().DeadKeep > 0 {
		q.Dead = int64(c.DeadBytes)
	}
	for _, s := range h.dir.view().sites {
		q.Sites[s.Name] = merged(q.Site, s.Quota.Send)
		q.Queues[s.Name.Queue()] = merged(q.Queue, s.Quota.Queue)
	}
	return q
}

// merged returns the default with the limits that are set.
func merged(usual, set spool.Quota) spool.Quota {
	return spool.Quota{
		Bytes: cmp.Or(set.Bytes, usual.Bytes), Reserved: cmp.Or(set.Reserved, usual.Reserved),
		Uploads:   cmp.Or(set.Uploads, usual.Uploads),
		Envelopes: cmp.Or(set.Envelopes, usual.Envelopes),
		Messages:  cmp.Or(set.Messages, usual.Messages),
		Metadata:  cmp.Or(set.Metadata, usual.Metadata),
	}
}

// limit gives the quotas in use to the spool.
func (h *Hub) limit(ctx context.Context) error {
	if err := h.spool.Limit(context.WithoutCancel(ctx), h.quotas()); err != nil {
		return fmt.Errorf("set the quotas: %w", err)
	}
	return nil
}

// measure reads the size of the disk, from which default quotas follow.
func (h *Hub) measure(ctx context.Context) error {
	info, err := h.spool.Info(ctx)
	h.capacity = max(info.DiskSize-int64(h.config.Spool.Reserve), info.DiskSize/2)
	return err
}

// KeepQuota and DefaultQuota are values of a QuotaRequest that set no limit. NeverExpires is a
// time for ExpiresAfter.
const (
	KeepQuota    = 0
	DefaultQuota = -1
	NeverExpires = -2
)

// setQuota changes the limits of one site.
func (h *Hub) setQuota(ctx context.Context, in QuotaRequest) (SiteUsage, error) {
	h.dir.change.Lock()
	defer h.dir.change.Unlock()
	s, known := h.dir.view().sites[in.Site]
	if !known || s.isRemoved() {
		return SiteUsage{}, reason.Err("hub-no-site", "site", in.Site)
	}
	if err := s.checkQuota(in); err != nil {
		return SiteUsage{}, err
	}
	set := siteQuota{Send: amend(s.Quota.Send, in.Send), Queue: amend(s.Quota.Queue, in.Queue),
		Expires: s.Quota.Expires}
	switch in.ExpiresAfter {
	case KeepQuota:
	case DefaultQuota:
		set.Expires = 0
	case NeverExpires:
		set.Expires = neverExpires
	default:
		set.Expires = in.ExpiresAfter
	}
	if set != s.Quota {
		s.Quota = set
		if err := h.dir.putSite(ctx, s); err != nil {
			return SiteUsage{}, err
		}
		if err := h.limit(ctx); err != nil {
			return SiteUsage{}, err
		}
		h.log.Info("quota changed", "site", s.Name, "send", set.Send, "queue", set.Queue,
			"expires_after", h.expiresAfter(s))
	}
	all, err := h.usages(ctx, Nothing{})
	if err != nil {
		return SiteUsage{}, err
	}
	i := slices.IndexFunc(all.Sites, func(u SiteUsage) bool { return u.Site == in.Site })
	return all.Sites[i], nil
}

// checkQuota refuses limits without effect on a site of this role, and one below the metadata of a
// message.
func (s site) checkQuota(in QuotaRequest) error {
	none := spool.Quota{}
	switch {
	case amend(none, in.Send) != none && !s.canSend():
		return reason.Err("quota-of-receiver", "site", s.Name)
	case (amend(none, in.Queue) != none || in.ExpiresAfter != 0) && !s.canReceive():
		return reason.Err("quota-of-sender", "site", s.Name)
	case in.ExpiresAfter < NeverExpires || in.ExpiresAfter > 0 && in.ExpiresAfter < leastExpiry:
		return reason.Err("quota-expires-too-soon", "least", leastExpiry.String())
	case in.Send.Metadata > 0 && in.Send.Metadata < int64(config.LeastMetadata):
		return reason.Err("quota-below-message", "least", reason.Size(config.LeastMetadata))
	}
	return nil
}

// leastExpiry is the least time after which an admin lets deliveries for one site end.
const leastExpiry = time.Hour

// amend returns a quota with the changes of a request.
func amend(old, in spool.Quota) spool.Quota {
	for _, l := range []struct{ old, in *int64 }{
		{&old.Bytes, &in.Bytes}, {&old.Reserved, &in.Reserved}, {&old.Uploads, &in.Uploads},
		{&old.Envelopes, &in.Envelopes}, {&old.Messages, &in.Messages},
		{&old.Metadata, &in.Metadata},
	} {
		switch {
		case *l.in < 0:
			*l.old = 0
		case *l.in > 0:
			*l.old = *l.in
		}
	}
	return old
}

// usages returns the counts and limits of the whole hub and of each site that is not removed.
func (h *Hub) usages(ctx context.Context, _ Nothing) (UsageAnswer, error) {
	used, err := h.spool.Usage(ctx)
	if err != nil {
		return UsageAnswer{}, err
	}
	q := h.quotas()
	out := UsageAnswer{Hub: QuotaState{Used: used.Hub, Allowed: q.Hub}, Sites: []SiteUsage{},
		Dead: QuotaState{Used: used.Dead, Allowed: spool.Quota{Bytes: q.Dead}}}
	sites := h.dir.view().sites
	for _, name := range slices.Sorted(maps.Keys(sites)) {
		if s := sites[name]; !s.isRemoved() {
			out.Sites = append(out.Sites, h.usageOf(s, used, q))
		}
	}
	return out, nil
}

// usageOf returns the counts and limits of a site.
func (h *Hub) usageOf(s site, used spool.Usages, q spool.Quotas) SiteUsage {
	u := SiteUsage{Site: s.Name}
	send := QuotaState{Used: used.Sites[s.Name], Allowed: q.OfSite(s.Name),
		Own: s.Quota.Send != spool.Quota{}}
	if s.canSend() || send.Own || send.Used != (spool.Usage{}) {
		u.Send = &send
	}
	if name := s.queueName(); name != "" {
		u.Queue = &QuotaState{Used: used.Queues[name], Allowed: q.OfQueue(name),
			Own: s.Quota.Queue != spool.Quota{}}
		u.ExpiresAfter, u.OwnExpires = h.expiresAfter(s), s.Quota.Expires != 0
	}
	return u
}

// Full returns the reason why no other envelope fits into a quota; none: one fits.
func (h QuotaState) Full() reason.Reason {
	over, ok := h.Allowed.Check("", "", h.Used, spool.Usage{Bytes: 1, Envelopes: 1, Messages: 1,
		Metadata: spool.MetadataSize(1, 1)}).(*spool.OverQuota)
	if !ok {
		return reason.Reason{}
	}
	used, allowed := reason.Size(over.Used), reason.Size(over.Allowed)
	switch over.Limit {
	case spool.LimitBytes:
		return reason.New("hub-quota-full-bytes", "used", used, "allowed", allowed)
	case spool.LimitMetadata:
		return reason.New("hub-quota-full-metadata", "used", used, "allowed", allowed)
	}
	return reason.New("hub-quota-full", "limit", over.Limit, "used", over.Used,
		"allowed", over.Allowed)
}

// Times after which a refused caller should come back.
const (
	quotaRetry = 30 * time.Second
	quotaNever = 5 * time.Minute // it fits only after the admin has raised the quota
)

// overQuota logs a refusal, and returns when to come back.
func (c *call) overQuota(o *spool.OverQuota) (after time.Duration) {
	from := netip.Addr{}
	if k := linkOf(c.r.Context()); k != nil {
		from = k.from
	}
	c.hub.refusals.note(slog.LevelWarn, refusedQuota, from, time.Now(), "site", c.caller.Name,
		"of", o.Scope, "name", o.Name, "limit", o.Limit, "used", o.Used, "allowed", o.Allowed,
		"needed", o.Needed)
	switch {
	case o.NeverFits():
		return quotaNever
	case o.Limit == spool.LimitMetadata: // the next day begins
		now := c.hub.now().UTC()
		return max(now.Truncate(24*time.Hour).Add(24*time.Hour).Sub(now), quotaRetry)
	}
	return quotaRetry
}

// stillAdmitted returns an error if the caller was removed, distrusted or put on hold after it was
// authorised.
// The table is held, so that neither can follow before the end of the call's commit.
func (c *call) stillAdmitted(t *table) error {
	s := t.sites[c.caller.Name]
	if c.hub.isDistrusted(s.Key) {
		return errDistrusted(s.Name, s.Key)
	}
	if s.isRemoved() || s.Key != c.caller.Key {
		return s.refusal(c.caller.Name, c.caller.Key)
	}
	return s.held()
}
