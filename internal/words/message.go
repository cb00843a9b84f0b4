package words

import (
	"fmt"
	"strings"

	"sealpost/internal/id"
)

// What is asked of a running agent, and what it answers.

// What a site or a message has not got.
const (
	SendsNothing = "this site does not send: it only receives"
	NoReceipts   = "this site does not send, so it has no receipts"
	NoApprovals  = "this site does not send, so there is nothing to approve"
	NameSites    = "name the sites to approve, or 'route' for what the hub proposes"
	SayAName     = "say a part of the file's name"
)

// MessageUnknown says that a site has no such message.
func MessageUnknown(site id.Site, message string) error {
	if _, _, first, last, err := id.ParseGroup(message); err == nil {
		return fmt.Errorf("%s is the folder of the messages %03d to %03d: 'sealpost agent find' tells by the name of a file which one it is", message, first, last)
	}
	return fmt.Errorf("%s has no message %q: 'sealpost agent status' lists the latest, and 'sealpost agent find' all by the name of the file", site, message)
}

// WhichRoute says that a site has several routes.
func WhichRoute(routes []string) error {
	return fmt.Errorf("this site sends under %s: say with --route which one is meant", strings.Join(routes, ", "))
}

// Approved says what was decided; shown are the fingerprints of the sites that were named.
func Approved(address id.Address, sites []id.Site, shown map[id.Site]id.Hash) string {
	if len(sites) == 0 {
		return fmt.Sprintf("approved for %s: those that the hub proposes next", address)
	}
	says := fmt.Sprintf("approved for %s: %s", address, Sites(sites))
	if len(shown) > 0 {
		says += "\n" + Fingerprints(shown) + ". If one of them is not the one that the site itself shows, run 'sealpost agent trust SITE FINGERPRINT' with that."
	}
	return says
}

// Trusted says by what a site is known from now on, and what it showed last if that is another identity.
func Trusted(site id.Site, offered id.Hash) string {
	says := fmt.Sprintf("%s is trusted by this fingerprint from now on", site)
	if offered != "" {
		says += fmt.Sprintf("; what showed itself as %s last has another one, %s: nothing is sent to it, and nothing of it is believed", site, offered)
	}
	return says
}

// Recalling and sending again.

// RecalledNow reports a message that was taken back for a reason.
func RecalledNow(message id.Message, reason string) string {
	if reason == RecalledAfterLoss {
		return fmt.Sprintf("%s is recalled and lies in failed/%s. But %s: ask its recipients",
			message, message, reason)
	}
	return fmt.Sprintf("%s is recalled: nobody gets it, and it lies in failed/%s", message, message)
}

// SentAgain says what will come of it.
func SentAgain(message id.Message, to id.Site) string {
	return fmt.Sprintf("a copy of what %s held is in outbox/@%s, and goes to %s as a message of its own", message, to, to)
}

// Proofs.

// ContentDiffers says that the content at hand is not what was sent.
const ContentDiffers = "this is not the content that was sent"

// NotVerifiedYet says that there is nothing to prove.
func NotVerifiedYet(message id.Message) error {
	return fmt.Errorf("%s has no verified receipt yet", message)
}

// ContentGone says that what was sent lies elsewhere now.
func ContentGone(message id.Message, place string) error {
	return fmt.Errorf("%s is not at %s any more: say with --content where it is", message, place)
}

// ContentIsOther says which content is meant, and what counts.
func ContentIsOther(place string, message id.Message, why error) error {
	return fmt.Errorf("%s: %w as %s (bytes, names, times and permissions count)", place, why, message)
}
