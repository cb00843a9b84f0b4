package hub

import (
	"crypto/x509"
	"path/filepath"
	"slices"

	"sealpost/certs"
	"sealpost/internal/reason"
)

// ReadIdentity returns the identity in a hub's state folder. It makes no key.
func ReadIdentity(state string) (*certs.Identity, error) {
	key := filepath.Join(state, keyFile)
	if !exists(key) {
		return nil, reason.Err("missing", "path", key)
	}
	return certs.OpenIdentity(key, filepath.Join(state, chainFile))
}

// ChangedHosts returns the hosts that only a hub's certificate has, and those that only the list
// has.
func ChangedHosts(c *x509.Certificate, hosts []string) (dropped, added []string) {
	had := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		had = append(had, ip.String())
	}
	had, hosts = normalHosts(had), normalHosts(hosts)
	in := func(list []string) func(string) bool {
		return func(host string) bool { return slices.Contains(list, host) }
	}
	return slices.DeleteFunc(slices.Clone(had), in(hosts)),
		slices.DeleteFunc(slices.Clone(hosts), in(had))
}
