package hub

import (
	"context"
	"fmt"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// mostBecause bounds the bytes of an admin's words about a hold.
const mostBecause = 200

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
	if len(in.Because) > mostBecause {
		return Changed{}, reason.Err("hold-because-too-long", "most", mostBecause)
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
