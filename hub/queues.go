package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/spoken"
	"sealpost/spool"
)

// seed fills an empty directory with the queues of the configuration.
func (h *Hub) seed(ctx context.Context) error {
	h.dir.change.Lock()
	defer h.dir.change.Unlock()
	if t := h.dir.view(); len(t.sites)+len(t.queues) > 0 {
		return nil
	}
	for _, q := range h.config.Queue {
		s, err := id.ParseSite(q.Site)
		if err == nil && q.Name != s.Queue() {
			err = fmt.Errorf("the queue of %s is %s, not %.40q", s, s.Queue(), q.Name)
		}
		if err == nil {
			err = validPatterns(q.Bindings)
		}
		if err != nil {
			return fmt.Errorf("hub.toml: queue: %w", err)
		}
		if err := h.dir.putQueue(ctx,
			queue{Name: q.Name, Site: s, Bindings: merge(nil, q.Bindings)}); err != nil {
			return err
		}
	}
	return nil
}

func validPatterns(patterns []string) error {
	for _, p := range patterns {
		if err := validPattern(p); err != nil {
			return err
		}
	}
	return nil
}

// merge returns the sorted union of both lists.
func merge(a, b []string) []string {
	both := append(slices.Clone(a), b...)
	slices.Sort(both)
	return append([]string{}, slices.Compact(both)...)
}

func (h *Hub) bindQueue(ctx context.Context, in BindRequest) (Bound, error) {
	if err := validPatterns(in.Keys); err != nil {
		return Bound{}, err
	}
	return h.rebind(ctx, in.Queue, func(bindings []string) ([]string, error) {
		all := merge(bindings, in.Keys)
		if len(all) > maxBindings {
			return nil, fmt.Errorf("a queue has at most %d bindings", maxBindings)
		}
		return all, nil
	})
}

// maxBindings bounds the bindings of a queue: they must fit into one registry item.
const maxBindings = 200

func (h *Hub) unbindQueue(ctx context.Context, in BindRequest) (Bound, error) {
	return h.rebind(ctx, in.Queue, func(bindings []string) ([]string, error) {
		return slices.DeleteFunc(slices.Clone(bindings), func(b string) bool {
			return slices.Contains(in.Keys, b)
		}), nil
	})
}

// rebind changes the bindings of a queue and announces the changed routes.
func (h *Hub) rebind(ctx context.Context, name string, f func([]string) ([]string, error)) (
	Bound, error) {
	h.dir.change.Lock()
	defer h.dir.change.Unlock()
	q, found := h.dir.view().queues[name]
	if !found {
		return Bound{}, reason.Err("hub-no-queue", "queue", name[:min(60, len(name))],
			"queues", slices.Sorted(maps.Keys(h.dir.view().queues)))
	}
	bindings, err := f(q.Bindings)
	if err != nil {
		return Bound{}, err
	}
	if slices.Equal(bindings, q.Bindings) {
		return Bound{Bindings: bindings}, nil
	}
	q.Bindings = bindings
	if err := h.dir.putQueue(ctx, q); err != nil {
		return Bound{}, err
	}
	h.log.Info("queue bound", "queue", name, "bindings", bindings)
	h.tellRoutes(ctx)
	return Bound{Bindings: bindings, Changed: true}, nil
}

func (h *Hub) queues(ctx context.Context, _ Nothing) (QueuesAnswer, error) {
	infos, err := h.spool.Queues(ctx)
	if err != nil {
		return QueuesAnswer{}, err
	}
	byName := map[string]QueueStatus{}
	for _, q := range h.dir.view().queues {
		byName[q.Name] = QueueStatus{QueueInfo: spool.QueueInfo{Name: q.Name}, Site: q.Site,
			Bindings: q.Bindings}
	}
	for _, info := range infos {
		q := byName[info.Name]
		q.QueueInfo = info
		byName[info.Name] = q
	}
	byNameThen := func(a, b QueueStatus) int { return cmp.Compare(a.Name, b.Name) }
	return QueuesAnswer{Queues: slices.SortedFunc(maps.Values(byName), byNameThen)}, nil
}

func (h *Hub) sites(ctx context.Context, _ Nothing) (SitesAnswer, error) {
	infos, err := h.spool.Queues(ctx)
	if err != nil {
		return SitesAnswer{}, err
	}
	queues := map[string]spool.QueueInfo{}
	for _, info := range infos {
		queues[info.Name] = info
	}
	used, err := h.spool.Usage(ctx)
	if err != nil {
		return SitesAnswer{}, err
	}
	t, q := h.dir.view(), h.quotas()
	answer := SitesAnswer{Sites: []SiteStatus{}, Knocking: h.knocks.list(t),
		Roster: h.rosterState()}
	roster := h.roster.Load()
	for _, name := range slices.Sorted(maps.Keys(t.sites)) {
		s := t.sites[name]
		status := SiteStatus{
			Site: s.Name, Role: s.Role, MaySend: s.MaySend, Fingerprint: s.Key,
			Words: spoken.Words(s.Key), KeyHash: s.KeyHash,
			KeyVersion: s.Version,
			Queue:      s.queueName(), Created: s.Created, Removed: s.Removed,
			Connections: h.links.count(name),
		}
		if status.State = s.state(); status.State == SiteInvited {
			status.Expires = t.invitations[name].Expires
		}
		status.LastSeen, status.Version = h.present.lastSeen(name)
		status.Waiting, status.Oldest = queues[name.Queue()].Waiting, queues[name.Queue()].Oldest
		if s.Hold == nil { // nothing for a held site ends
			status.OldestExpires = api.ExpiresSoon(s.Held.since(queues[name.Queue()].Ages),
				h.now(), h.expiresAfter(s))
		}
		if roster != nil && status.State == SiteJoined {
			status.Roster = roster.relation(s)
		}
		status.RunsAs, status.Hold = h.otherRole(s), s.Hold
		status.Copies = h.present.copies(name, h.now())
		if !s.isRemoved() {
			usage := h.usageOf(s, used, q)
			status.Usage = &usage
		}
		answer.Sites = append(answer.Sites, status)
	}
	return answer, nil
}

func (s site) state() string {
	switch {
	case s.isRemoved():
		return SiteRemoved
	case s.Key != "":
		return SiteJoined
	}
	return SiteInvited
}

func (h *Hub) messages(ctx context.Context, in MessagesRequest) (MessagesAnswer, error) {
	if in.Sender == "" && in.Recipient == "" {
		return MessagesAnswer{}, errors.New("say whose messages: a sender, a recipient, or both")
	}
	for _, name := range []id.Site{in.Sender, in.Recipient} {
		if _, known := h.dir.view().sites[name]; name != "" && !known {
			return MessagesAnswer{}, reason.Err("hub-no-site", "site", name)
		}
	}
	if in.Max <= 0 {
		in.Max = 100
	}
	in.Max = min(in.Max, 1000)
	return h.search(ctx, in)
}

func (h *Hub) status(ctx context.Context, _ Nothing) (Status, error) {
	info, err := h.spool.Info(ctx)
	if err != nil {
		return Status{}, err
	}
	queues, err := h.spool.Queues(ctx)
	if err != nil {
		return Status{}, err
	}
	s := Status{
		Hub: h.config.Name, Version: h.version, Listen: h.Addr().String(),
		Network: h.verifier.Network, Suite: h.config.Suite,
		Started: h.started.UTC(), StartID: h.startID, CertExpires: h.identity.NotAfter().UTC(),
		Spool: info, Connections: h.links.count(""), Paused: h.ages.pausedUntil(),
		Root:   FindRootKey(h.config.State, ""),
		Roster: h.rosterState(),
	}
	s.Records = h.records.now(time.Duration(*h.keepMetadata.Load()), s.Paused)
	for _, site := range h.dir.view().sites {
		if site.state() == SiteJoined {
			s.Sites++
		}
	}
	for _, q := range queues {
		s.Waiting += q.Waiting
		s.Leased += q.Leased
		s.Released += q.Released
		s.Settled += q.Settled
		s.Dead += q.Dead
		if !q.Oldest.IsZero() && (s.Oldest.IsZero() || q.Oldest.Before(s.Oldest)) {
			s.Oldest = q.Oldest
		}
	}
	return s, nil
}
