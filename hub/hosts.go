package hub

import (
	"crypto/x509"
	"net"
	"slices"
)

// hasExactHosts reports whether a hub's certificate names exactly these hosts.
func hasExactHosts(c *x509.Certificate, hosts []string) bool {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return sameHosts(names, hosts)
}

// sameHosts compares two lists of names and addresses. Order and notation of addresses do not
// matter.
func sameHosts(a, b []string) bool { return slices.Equal(normalHosts(a), normalHosts(b)) }

func normalHosts(hosts []string) []string {
	normal := slices.Clone(hosts)
	for i, h := range normal {
		if ip := net.ParseIP(h); ip != nil {
			normal[i] = ip.String()
		}
	}
	slices.Sort(normal)
	return normal
}
