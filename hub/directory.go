package hub

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/strictjson"
	"sealpost/spool"
)

// Kinds of the registry's items. Their keys are the names of the site, the queue, the invited site
// or admin, and the admin. No site and admin have the same name.
const (
	kindSite       = "site"
	kindAdmin      = "admin"
	kindQueue      = "queue"
	kindInvitation = "invitation"
)

// site is the hub's record of one site.
type site struct {
	Name    id.Site  `json:"site"`
	Role    string   `json:"role"`
	MaySend []string `json:"may_send,omitempty"`
	// fingerprint of its identity key; empty until it has enrolled or is admitted
	Key     id.Hash   `json:"key,omitempty"`
	Created time.Time `json:"created"`
	Removed time.Time `json:"removed,omitzero"`
	// the keys that it had before it was removed, the latest ones
	Former []formerKey `json:"former,omitempty"`
	// after the removal its envelopes still arrive
	KeepSent bool `json:"keep_sent,omitempty"`

	Quota siteQuota `json:"quota,omitzero"`
	Hold  *api.Hold `json:"hold,omitempty"`
	Held  pastHold  `json:"held,omitzero"`

	Statement string `json:"statement,omitempty"` // its newest recipient-key statement
	Version   int    `json:"version,omitempty"`   // of the statement
	// of the statement's payload; its successor names it
	Payload id.Hash `json:"payload,omitempty"`
	KeyHash id.Hash `json:"key_hash,omitempty"` // of the recipient key
}

// formerKey is an identity that a removed site had, and when it got that.
type formerKey struct {
	Key     id.Hash   `json:"key"`
	Created time.Time `json:"created"`
}

// maxFormer bounds the former keys of a site.
const maxFormer = 8

// anew returns the record of a site that was removed, for another time on the network.
func (s site) anew(now time.Time) site {
	former := s.Former
	if s.Key != "" {
		former = append(slices.Clone(former), formerKey{s.Key, s.Created})
	}
	return site{Name: s.Name, Created: now, Former: former[max(0, len(former)-maxFormer):]}
}

// isBefore reports whether a time is of an earlier holder of the name. The zero time is of none.
func (s site) isBefore(t time.Time) bool {
	return len(s.Former) > 0 && !t.IsZero() && t.Before(s.Created)
}

func (s site) canSend() bool    { return s.Role == config.RoleSend || s.Role == config.RoleBoth }
func (s site) canReceive() bool { return s.Role == config.RoleReceive || s.Role == config.RoleBoth }
func (s site) isRemoved() bool  { return !s.Removed.IsZero() }

// queue is one site's queue and its bindings.
type queue struct {
	Name     string   `json:"queue"`
	Site     id.Site  `json:"site"`
	Bindings []string `json:"bindings"` // sorted
}

// invitation is the hub's record of an invitation. It never holds the secret.
type invitation struct {
	Site    id.Site   `json:"site"`
	Hash    id.Hash   `json:"hash"` // SHA-256 of the secret; empty: the key is enough
	Expires time.Time `json:"expires"`
	Bound   id.Hash   `json:"bound,omitempty"` // fingerprint of the only key that may use it
	Used    time.Time `json:"used,omitzero"`   // by that key, for the first time
}

// directory holds the sites, queues and invitations, in memory and written through to the registry.
//
// Readers take a view, an immutable table. A publish holds the view until its commit, so that no
// route can change between its decision and its commit.
type directory struct {
	registry spool.Registry

	change   sync.Mutex        // held from the reading to the end of a change; guards versions
	versions map[string]uint64 // of the registry's items, by kind and key

	routing sync.RWMutex // read-held by publishes; write-held while a change commits
	now     atomic.Pointer[table]
}

func openDirectory(ctx context.Context, registry spool.Registry) (*directory, error) {
	d := &directory{registry: registry, versions: map[string]uint64{}}
	t := newTable()
	err := readKind(ctx, d, kindSite, func(s site) { t.sites[s.Name] = s })
	if err == nil {
		err = readKind(ctx, d, kindQueue, func(q queue) { t.queues[q.Name] = q })
	}
	if err == nil {
		err = readKind(ctx, d, kindInvitation, func(i invitation) { t.invitations[i.Site] = i })
	}
	if err == nil {
		err = readKind(ctx, d, kindAdmin, func(a administrator) { t.admins[a.Name] = a })
	}
	if err != nil {
		return nil, fmt.Errorf("read the directory: %w", err)
	}
	d.now.Store(t)
	return d, nil
}

// readKind reads all items of a kind, and their versions.
func readKind[T any](ctx context.Context, d *directory, kind string, take func(T)) error {
	const page = 100
	for after := ""; ; {
		items, err := d.registry.List(ctx, kind, after, page)
		if err != nil {
			return err
		}
		for _, item := range items {
			var value T
			if err := strictjson.Unmarshal(item.Value, &value); err != nil {
				return fmt.Errorf("%s %s: %w", kind, item.Key, err)
			}
			take(value)
			d.versions[kind+"/"+item.Key] = item.Version
			after = item.Key
		}
		if len(items) < page {
			return nil
		}
	}
}

// view returns the directory as it is now.
func (d *directory) view() *table { return d.now.Load() }

// hold returns the directory as it is now and keeps it so until release is called.
func (d *directory) hold() (t *table, release func()) {
	d.routing.RLock()
	return d.now.Load(), d.routing.RUnlock
}

func (d *directory) putSite(ctx context.Context, s site) error {
	return d.put(ctx, kindSite, string(s.Name), s, func(t *table) { t.sites[s.Name] = s })
}

func (d *directory) putAdmin(ctx context.Context, a administrator) error {
	return d.put(ctx, kindAdmin, string(a.Name), a, func(t *table) { t.admins[a.Name] = a })
}

func (d *directory) dropAdmin(ctx context.Context, name id.Site) error {
	return d.put(ctx, kindAdmin, string(name), nil, func(t *table) { delete(t.admins, name) })
}

func (d *directory) putQueue(ctx context.Context, q queue) error {
	return d.put(ctx, kindQueue, q.Name, q, func(t *table) { t.queues[q.Name] = q })
}

func (d *directory) putInvitation(ctx context.Context, i invitation) error {
	return d.put(ctx, kindInvitation, string(i.Site), i, func(t *table) {
		t.invitations[i.Site] = i
	})
}

func (d *directory) dropInvitation(ctx context.Context, s id.Site) error {
	if _, found := d.view().invitations[s]; !found {
		return nil
	}
	return d.put(ctx, kindInvitation, string(s), nil, func(t *table) { delete(t.invitations, s) })
}

// put makes one change durable and then visible. The caller holds d.change. It ignores the end of
// the caller's context: a started write is waited for, so that memory and disk never disagree.
func (d *directory) put(ctx context.Context, kind, key string, value any,
	apply func(*table)) error {
	var exact []byte
	if value != nil {
		var err error
		if exact, err = strictjson.Marshal(value); err != nil {
			return fmt.Errorf("directory: %s %s: %w", kind, key, err)
		}
	}
	d.routing.Lock()
	defer d.routing.Unlock()
	version, err := d.registry.Put(context.WithoutCancel(ctx), kind, key, d.versions[kind+"/"+key],
		exact)
	if err != nil {
		return fmt.Errorf("directory: %s %s: %w", kind, key, err)
	}
	d.versions[kind+"/"+key] = version
	if value == nil {
		delete(d.versions, kind+"/"+key)
	}
	t := d.view()
	next := &table{sites: maps.Clone(t.sites), queues: maps.Clone(t.queues),
		invitations: maps.Clone(t.invitations), admins: maps.Clone(t.admins)}
	apply(next)
	d.now.Store(next)
	return nil
}
