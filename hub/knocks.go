package hub

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/spoken"
)

// Bounds of the memory of knocks.
const (
	maxKnocks       = 256
	maxKnocksOfSite = 8
)

// Knock is a caller that is not admitted under its name and key. It has a certificate of this
// network, or an invitation that another key has used.
type Knock struct {
	Site        id.Site       `json:"site"`
	Fingerprint id.Hash       `json:"fingerprint"` // of its identity key
	Words       string        `json:"words"`       // of the fingerprint
	Reason      reason.Reason `json:"reason"`
	From        string        `json:"from"` // address of the last request
	First       time.Time     `json:"first"`
	Last        time.Time     `json:"last"`
	Count       int64         `json:"count"` // requests
	Role        string        `json:"role,omitempty"`
	// the command that admits it; ROLE stands for a role that the hub does not know
	Admit string `json:"admit"`
}

// knocks holds the callers that are not admitted. It is in memory only: a caller that still wants
// to join knocks again after a restart.
type knocks struct {
	mu sync.Mutex // guards by
	by map[knocker]*Knock
}

type knocker struct {
	site id.Site
	key  id.Hash
}

func newKnocks() *knocks { return &knocks{by: map[knocker]*Knock{}} }

// note records a refused request. Above a bound, the knock that is quiet for the longest time is
// forgotten; at first one of the same site.
func (n *knocks) note(site id.Site, key id.Hash, from netip.Addr, why reason.Reason,
	now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := n.by[knocker{site, key}]
	if k == nil {
		var quietest, ofSite *Knock
		count := 0
		for _, other := range n.by {
			if quietest == nil || other.Last.Before(quietest.Last) {
				quietest = other
			}
			if other.Site != site {
				continue
			}
			if count++; ofSite == nil || other.Last.Before(ofSite.Last) {
				ofSite = other
			}
		}
		if count >= maxKnocksOfSite {
			delete(n.by, knocker{site, ofSite.Fingerprint})
		} else if len(n.by) >= maxKnocks {
			delete(n.by, knocker{quietest.Site, quietest.Fingerprint})
		}
		k = &Knock{Site: site, Fingerprint: key, Words: spoken.Words(key), First: now.UTC()}
		n.by[knocker{site, key}] = k
	}
	k.Last, k.From, k.Reason = now.UTC(), from.String(), why
	k.Count++
}

// admitted forgets the knocks of an admitted key.
func (n *knocks) admitted(site id.Site, key id.Hash) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.by, knocker{site, key})
}

// list returns the knocks, by site and the newest first, each with the command that admits it.
func (n *knocks) list(t *table) []Knock {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := []Knock{}
	for _, k := range n.by {
		s := t.sites[k.Site]
		one := *k
		one.Role = s.Role
		one.Admit = fmt.Sprintf("sealpost hub admit %s --fingerprint %s --role %s", k.Site,
			k.Fingerprint, cmp.Or(s.Role, "ROLE"))
		if !s.isRemoved() && s.Key != "" {
			one.Admit = fmt.Sprintf("sealpost hub remove %s && %s", k.Site, one.Admit)
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b Knock) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), b.Last.Compare(a.Last),
			cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return list
}

// whyRefused returns the reason of a refusal for the admin.
func whyRefused(code api.Code) reason.Reason {
	switch code {
	case api.CodeRemoved:
		return reason.New("hub-knock-removed")
	case api.CodeOtherKey:
		return reason.New("hub-knock-other-key")
	case api.CodeInvitation:
		return reason.New("hub-knock-invitation")
	}
	return reason.New("hub-knock-not-admitted")
}
