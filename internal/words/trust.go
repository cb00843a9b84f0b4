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

// What a site shows instead of its pin. The ledger keeps these words.

// OtherIdentity is another identity key.
const OtherIdentity = "it shows another identity key"

// SharedKey begins the trouble of a site whose recipient key another site has.
const SharedKey = "its recipient key is the one of "

// OlderKey is a recipient key of a version that was passed already.
func OlderKey(offered, seen int) string {
	return fmt.Sprintf("it offers version %d of its recipient key, and version %d was seen before", offered, seen)
}

// OtherKey is another recipient key of a version that was seen.
func OtherKey(version int) string {
	return fmt.Sprintf("it offers another recipient key under the same version %d", version)
}

// StrayKey is a recipient key that does not follow the one before.
func StrayKey(version int) string {
	return fmt.Sprintf("version %d of its recipient key does not follow the one that was seen before", version)
}

// What a person can do about it.

// CompareIdentity is the advice for another identity.
func CompareIdentity(site id.Site, offered id.Hash) string {
	return fmt.Sprintf("Ask people whom you know at %s, not by this network, for the fingerprint of its identity, and if it is %s, run 'sealpost agent trust %s %s'",
		site, offered, site, offered)
}

// CompareKey is the advice for another recipient key of the same identity.
func CompareKey(site id.Site, offered id.Hash) string {
	return fmt.Sprintf("Ask people whom you know at %s, not by this network, whether it was given a new recipient key, and if so, run 'sealpost agent trust %s %s'",
		site, site, offered)
}

// AskBothSites is the advice for a key that two sites have.
const AskBothSites = "A key belongs to one site: ask the people of both, and the admin of the hub"

// Why a receipt is not believed.

// ReceiptNotSigned says that its signature does not hold.
func ReceiptNotSigned(recipient id.Site, why error) string {
	return fmt.Sprintf("the receipt of %s is not properly signed: %v", recipient, why)
}

// ReceiptOfOther says that it is of another envelope, sender or recipient.
func ReceiptOfOther(recipient id.Site) string {
	return fmt.Sprintf("the receipt that the hub relayed for %s speaks of something else", recipient)
}

// ReceiptOfOtherIdentity says that somebody else has signed it.
func ReceiptOfOtherIdentity(recipient id.Site, key id.Hash) string {
	return fmt.Sprintf("the receipt is signed by another identity than the one pinned for %s: ask its people for their fingerprint, and if it is %s, run 'sealpost agent trust %s %s'",
		recipient, key, recipient, key)
}

// ReceiptNotSent says that it speaks of content that this site did not send.
func ReceiptNotSent(recipient id.Site) string {
	return fmt.Sprintf("the receipt of %s speaks of content that was not sent", recipient)
}

// ReceiptPassesOver says that it leaves out a message.
func ReceiptPassesOver(recipient id.Site, message id.Message) string {
	return fmt.Sprintf("the receipt of %s passes over %s", recipient, message)
}
