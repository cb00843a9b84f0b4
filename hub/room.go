package hub

import (
	"context"
	"errors"
	"time"

	"sealpost/internal/reason"
	"sealpost/spool"
)

// roomInterval is the time between two checks of the free space against the reserve.
const roomInterval = 15 * time.Second

// BelowReserve returns the reason for which a hub takes nothing new.
func BelowReserve(free, reserve int64) reason.Reason {
	return reason.New("hub-below-reserve", "free", reason.Size(free),
		"reserve", reason.Size(reserve))
}

// watchRoom logs when the disk falls below the reserve, and when there is room again.
func (h *Hub) watchRoom(ctx context.Context) error {
	tick := time.NewTicker(roomInterval)
	defer tick.Stop()
	for full := false; ; {
		if info, err := h.spool.Info(ctx); err == nil && (info.DiskFree < info.Reserve) != full {
			full = !full
			if full {
				h.log.Warn("disk below the reserve",
					"reason", BelowReserve(info.DiskFree, info.Reserve),
					"free", info.DiskFree, "reserve", info.Reserve)
			} else {
				h.log.Info("there is room again", "free", info.DiskFree, "reserve", info.Reserve)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// roomFor returns the error of an admin's call. If the disk has no room for it, the error tells the
// admin what to change.
func (h *Hub) roomFor(ctx context.Context, err error) error {
	if errors.Is(err, spool.ErrFull) {
		if info, unknown := h.spool.Info(ctx); unknown == nil {
			return reason.Err("hub-no-room-to-change", "free", reason.Size(info.DiskFree),
				"floor", reason.Size(h.config.Spool.Floor), "why", err)
		}
	}
	return err
}
