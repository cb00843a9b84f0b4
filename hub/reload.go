package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sealpost/certs"
	"sealpost/config"
)

// Settings let the hub read its configuration again while it runs.
type Settings struct {
	Load  func() (config.Hub, error) // from the file, checked
	Apply func(config.Hub)           // the log's level and the memory limit, which the process has
}

// Reloaded lists the keys of hub.toml whose values differ from those in effect before.
type Reloaded struct {
	Changed []string `json:"changed"` // in effect now
	Restart []string `json:"restart"` // in effect after the next start
}

// reloadable are the keys that take effect without a restart.
var reloadable = []string{"hosts", "limits.memory", "log_level"}

// reload reads hub.toml again. With an error nothing has changed.
func (h *Hub) reload(context.Context, Nothing) (Reloaded, error) {
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
	h.settings.Apply(next)
	h.inEffect.Hosts, h.inEffect.LogLevel, h.inEffect.Limits.Memory = next.Hosts, next.LogLevel,
		next.Limits.Memory
	out := Reloaded{Changed: []string{}, Restart: []string{}}
	for _, key := range keys {
		if slices.Contains(reloadable, key) {
			out.Changed = append(out.Changed, key)
		} else {
			out.Restart = append(out.Restart, key)
		}
	}
	h.log.Info("configuration reloaded", "changed", out.Changed, "restart", out.Restart)
	return out, nil
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
