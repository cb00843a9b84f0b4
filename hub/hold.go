package hub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/spool"
)

// pastHold is the time on hold of a site. It does not count for the age of deliveries that have
// waited through it.
type pastHold struct {
	Until time.Time     `json:"until"`
	For   time.Duration `json:"for_ns"`
}

// and returns the past after another hold. Two holds within the age at which deliveries end count
// as one that ends with the later: deliveries from between them wait longer than they have to.
func (p pastHold) and(since, until time.Time, age time.Duration) pastHold {
	if age != 0 && since.Sub(p.Until) > age {
		p.For = 0
	}
	return pastHold{Until: until, For: p.For + max(0, until.Sub(since))}
}

// before returns the time before which deliveries are too old for an age; zero: none is.
func (p pastHold) before(now time.Time, age time.Duration) time.Time {
	if age == 0 {
		return time.Time{}
	}
	bound := now.Add(-age)
	if !bound.After(p.Until) {
		bound = bound.Add(-p.For)
	}
	return bound
}

// since returns the time from which a delivery's age counts that has waited since a time.
func (p pastHold) since(t time.Time) time.Time {
	return t.Add(max(0, min(p.For, p.Until.Sub(t))))
}

// held returns the problem of a site on hold; nil: it is not. Settling, reading and releasing go
// on: they end the deliveries that the site has leased.
func (s site) held() error {
	if s.Hold == nil {
		return nil
	}
	detail := fmt.Sprintf("the admin of the hub holds %s since %s", s.Name,
		s.Hold.Since.Format(time.RFC3339))
	if s.Hold.Because != "" {
		detail += ": " + s.Hold.Because
	}
	return &api.Error{Code: api.CodeOnHold, Detail: detail}
}

// hold puts a site on hold. Its connections are cut, so that waiting calls end, and so that its
// agent hears of the hold at once.
func (h *Hub) hold(ctx context.Context, in HoldRequest) (Changed, error) {
	if len(in.Because) > spool.MaxBecause {
		return Changed{}, reason.Err("hold-because-too-long", "most", spool.MaxBecause)
	}
	return h.changeHold(ctx, in.Site, &api.Hold{Since: h.now().UTC().Truncate(time.Second),
		Because: in.Because})
}

// unhold ends the hold of a site.
func (h *Hub) unhold(ctx context.Context, in HoldRequest) (Changed, error) {
	return h.changeHold(ctx, in.Site, nil)
}

func (h *Hub) changeHold(ctx context.Context, name id.Site, next *api.Hold) (Changed, error) {
	h.dir.change.Lock()
	defer h.dir.change.Unlock()
	s, known := h.dir.view().sites[name]
	if !known || s.isRemoved() {
		return Changed{}, reason.Err("hub-no-site", "site", name)
	}
	if s.Hold == nil && next == nil || s.Hold != nil && next != nil &&
		s.Hold.Because == next.Because {
		return Changed{}, nil
	}
	if s.Hold != nil && next != nil {
		next.Since = s.Hold.Since // only the words are new
	}
	if next == nil {
		s.Held = s.Held.and(s.Hold.Since, h.now().UTC().Truncate(time.Second),
			time.Duration(h.deliveries.Load().ExpiresAfter))
	}
	s.Hold = next
	if err := h.dir.putSite(ctx, s); err != nil {
		return Changed{}, err
	}
	if next != nil {
		h.log.Info("site held", "site", name, "because", next.Because)
	} else {
		h.log.Info("site not held any more", "site", name)
	}
	h.links.cut(name)
	return Changed{Changed: true}, nil
}

// holdOne puts the waiting deliveries of a message on hold. Leases of them end.
func (h *Hub) holdOne(ctx context.Context, in HoldOneRequest) (LettersAnswer, error) {
	if len(in.Because) > spool.MaxBecause {
		return LettersAnswer{}, reason.Err("hold-because-too-long", "most", spool.MaxBecause)
	}
	notWaiting := func(m id.Message) error {
		return reason.Err("letter-not-waiting", "message", m)
	}
	waiting := selection{func(r spool.Record) bool { return r.State == "waiting" }, notWaiting}
	return h.changeLetters(ctx, in.LetterRequest, waiting, "held",
		func(ctx context.Context, r spool.Record) (bool, error) {
			changed, err := h.spool.Hold(ctx, letterOf(r), in.Because)
			if errors.Is(err, spool.ErrConflict) {
				err = notWaiting(r.Message)
			}
			return changed, err
		})
}

// unholdOne ends the hold of the deliveries of a message.
func (h *Hub) unholdOne(ctx context.Context, in LetterRequest) (LettersAnswer, error) {
	held := selection{
		func(r spool.Record) bool { return r.State == "waiting" && r.Code == spool.CodeOnHold },
		func(id.Message) error { return nil }}
	return h.changeLetters(ctx, in, held, "not held any more",
		func(ctx context.Context, r spool.Record) (bool, error) {
			return true, h.spool.Unhold(ctx, letterOf(r))
		})
}

// mostHeld bounds the deliveries in a list of holds.
const mostHeld = 1000

// holds lists the sites and the deliveries on hold.
func (h *Hub) holds(ctx context.Context, _ Nothing) (HoldsAnswer, error) {
	out := HoldsAnswer{Sites: []SiteHold{}}
	t := h.dir.view()
	for _, name := range slices.Sorted(maps.Keys(t.sites)) {
		if hold := t.sites[name].Hold; hold != nil {
			out.Sites = append(out.Sites, SiteHold{name, *hold})
		}
	}
	list, err := h.spool.Held(ctx, mostHeld+1)
	if err != nil {
		return out, err
	}
	out.More = len(list) > mostHeld
	out.Deliveries = append([]spool.HeldDelivery{}, list[:min(mostHeld, len(list))]...)
	return out, nil
}
