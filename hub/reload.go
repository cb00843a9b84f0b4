package hub

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"sealpost/certs"
	"sealpost/config"
)

// Settings let the hub read its configuration again while it runs.
type Settings struct {
	Load    func() (config.Hub, error) // from the file, checked
	Apply   func(config.Hub)           // sets the log's level and the memory limit of the process
	Signals <-chan os.Signal           // each signal asks for a reload; nil: none
}

// Reloaded lists the keys of hub.toml whose values differ from those in effect before.
type Reloaded struct {
	Changed []string `json:"changed"` // in effect now
	Restart []string `json:"restart"` // in effect after the next start
}

// isReloadable reports whether a key of hub.toml takes effect without a restart.
func isReloadable(key string) bool {
	return strings.HasPrefix(key, "quota.") || strings.HasPrefix(key, "deliveries.") ||
		slices.Contains([]string{"hosts", "keep_audit", "keep_metadata", "limits.memory",
			"log_level"}, key)
}

// reload reads hub.toml again. With an error nothing has changed.
func (h *Hub) reload(ctx context.Context, _ Nothing) (Reloaded, error) {
	if h.settings.Load == nil {
		return Reloaded{}, errors.New("this hub was started without a file")
	}
	h.reloading.Lock()
	defer h.reloading.Unlock()
	next, err := h.settings.Load()
	if err != nil {
		return Reloaded{}, err
	}
	if err := CheckSuite(h.config.State, next.Suite); err != nil {
		return Reloaded{}, err
	}
	keys, err := config.Changes(h.inEffect, next)
	if err != nil {
		return Reloaded{}, fmt.Errorf("compare hub.toml: %w", err)
	}
	if err := h.changeHosts(next.Hosts); err != nil {
		return Reloaded{}, err
	}
	if err := h.changeQuota(ctx, next.Quota, next.Deliveries); err != nil {
		return Reloaded{}, errors.Join(err, h.changeHosts(h.inEffect.Hosts))
	}
	h.settings.Apply(next)
	h.inEffect.Hosts, h.inEffect.LogLevel, h.inEffect.Limits.Memory = next.Hosts, next.LogLevel,
		next.Limits.Memory
	h.inEffect.Quota, h.inEffect.Deliveries = next.Quota, next.Deliveries
	h.inEffect.KeepAudit = next.KeepAudit
	h.inEffect.KeepMetadata = next.KeepMetadata
	h.keepAudit.Store(&next.KeepAudit)
	h.keepMetadata.Store(&next.KeepMetadata)
	out := Reloaded{Changed: []string{}, Restart: []string{}}
	for _, key := range keys {
		if isReloadable(key) {
			out.Changed = append(out.Changed, key)
		} else {
			out.Restart = append(out.Restart, key)
		}
	}
	h.log.Info("configuration reloaded", "changed", out.Changed, "restart", out.Restart)
	return out, nil
}

// watchSettings reloads the configuration at each signal until the context ends.
func (h *Hub) watchSettings(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.settings.Signals:
			if _, err := h.reload(ctx, Nothing{}); err != nil {
				h.log.Error("configuration not reloaded, and nothing has changed", "error", err)
			}
		}
	}
}

// changeQuota sets other limits. With an error the limits of before stay.
func (h *Hub) changeQuota(ctx context.Context, q config.Quota, d config.Deliveries) error {
	h.dir.change.Lock()
	defer h.dir.change.Unlock()
	quota, deliveries := h.quota.Swap(&q), h.deliveries.Swap(&d)
	err := h.limit(ctx)
	if err != nil {
		h.quota.Store(quota)
		h.deliveries.Store(deliveries)
	}
	return err
}

// changeHosts gives the hub a certificate for other hosts. Open connections stay.
func (h *Hub) changeHosts(hosts []string) error {
	before := h.hosts()
	if hasSameHosts(before, hosts) {
		return nil
	}
	if err := certs.CheckHosts(hosts); err != nil {
		return err
	}
	h.renewing.Lock()
	defer h.renewing.Unlock()
	h.hostList.Store(&hosts)
	if err := h.renewSelf(); err != nil {
		h.hostList.Store(&before)
		return fmt.Errorf("certificate for %q: %w", hosts, err)
	}
	return nil
}

// hosts returns the names and addresses under which agents reach the hub.
func (h *Hub) hosts() []string { return *h.hostList.Load() }
