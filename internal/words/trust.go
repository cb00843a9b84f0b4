package words

import (
	"fmt"

	"sealpost/internal/id"
)

// Why a site's key is not used.

// CertificateNotNow says that a site's certificate is not valid by this computer's clock.
func CertificateNotNow(site id.Site) string {
	return fmt.Sprintf("the certificate of %s is not valid now: check this computer's clock, and that %s is running", site, site)
}

// KeyNotSigned says that the statement of a site's key does not hold.
func KeyNotSigned(site id.Site, why error) string {
	return fmt.Sprintf("the key that the hub offers for %s is not properly signed (%v): ask the admin of the hub", site, why)
}

// KeyOfOther says that the statement speaks of another site, network or key.
func KeyOfOther(site id.Site) string {
	return fmt.Sprintf("the key that the hub offers for %s is not its own: ask the admin of the hub", site)
}

// KeyOfOtherSuite says that a site's key is of another suite.
func KeyOfOtherSuite(site id.Site, suite string) string {
	return fmt.Sprintf("the key of %s is not of this network's suite %s: ask its admin", site, suite)
}

// KeyMalformed says that a site's key cannot be read.
func KeyMalformed(site id.Site) string {
	return fmt.Sprintf("the key of %s is malformed: ask its admin", site)
}

// NotAsBefore says that a site differs from its pin.
func NotAsBefore(site id.Site, trouble, advice string) string {
	return fmt.Sprintf("%s is not what it was: %s. Nothing is sent to it. %s", site, trouble, advice)
}

// DiffersFromPin says that a site is not believed.
const DiffersFromPin = "differs from what is pinned"

// Why a receipt is not believed.
