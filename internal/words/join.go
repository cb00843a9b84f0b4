package words

import (
	"fmt"
	"strings"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// How a site joins, and what keeps an agent from starting.

// SiteNotJoined says that a site has no certificate yet.
const SiteNotJoined = "this site has not joined yet: run 'sealpost agent join' with the invitation file first"

// AgentRuns says that the state folder is in use.
func AgentRuns(state string) error {
	return fmt.Errorf("the agent of this folder is running already (%s)", state)
}

// StateClosed says that this account may not use the state folder.
func StateClosed(state string, why error) error {
	return fmt.Errorf("this account may not use %s: run the command as the account to which that folder belongs (%w)", state, why)
}

// StopToJoin says that nothing can be changed while the agent runs.
func StopToJoin(running error) error {
	return fmt.Errorf("%w: stop it first, or use 'sealpost agent approve' to change approvals", running)
}

// FolderOfOther says that another site lives in a folder.
func FolderOfOther(dir, site string) error {
	return fmt.Errorf("%s belongs to %s of another network or name already: choose another folder with --dir", dir, site)
}

// StateOfOtherSite says that state and configuration are of two sites.
func StateOfOtherSite(state string, site id.Site, configured id.Site) error {
	return fmt.Errorf("the certificate in %s is of %s, and agent.toml says %s: put the right one of the two in place", state, site, configured)
}

// RecipientGone says that a site has lost the key to what is sent to it.
func RecipientGone(path string) error {
	return fmt.Errorf("%s is missing, and what is on its way to this site is sealed for it: put it back from your backup and start again; "+
		"if there is none, 'sealpost agent new-key' makes another, and what waits for the old one has to be sent again", path)
}

// RecipientThere refuses to make another key beside the one that is there.
func RecipientThere(path string) error {
	return fmt.Errorf("%s is there, and no other is made: this is for a site that has lost it", path)
}

// RecipientMade says that a lost key has a successor.
func RecipientMade(path string) string {
	return fmt.Sprintf("%s is made. Start the agent: it tells the hub. What was sealed for the lost key is refused here, and its senders see that and send it again.", path)
}

// StateOfOtherNetwork says that they are of two networks.
func StateOfOtherNetwork(state string) error {
	return fmt.Errorf("the certificate in %s is of another network than the one in agent.toml: put the right one of the two in place", state)
}

// LedgerUnusable says that the ledger cannot be opened, and how to go on without it.
func LedgerUnusable(path string, why error) error {
	return fmt.Errorf("%w. If %s is damaged: nothing is lost and nothing comes twice when you move it, and what begins with its name, away and start the agent again; docs/for-admins.md says what is gone then", why, path)
}

const (
	sameCommand = "run the same command again"
	askTheHub   = "ask the admin of the hub"
)

// ClockFirst says that nothing was sent because of a clock.
func ClockFirst(wrong error) error {
	return fmt.Errorf("nothing was sent to the hub yet: %w, and %s", wrong, sameCommand)
}

// CertificateForOther says that the hub's answer is another site's.
func CertificateForOther(got, want id.Site) error {
	return fmt.Errorf("the hub answered with a certificate for %q and not for %s: %s", got, want, askTheHub)
}

// CertificateNotHere says that the certificate is good and this computer's clock is not.
func CertificateNotHere(clock string) error {
	return fmt.Errorf("the hub's certificate is not valid on this computer, because %s: set the clock and %s", clock, sameCommand)
}

// InvitationRefused says that the hub does not take an invitation.
func InvitationRefused(site id.Site, why error) error {
	return fmt.Errorf("the hub does not take the invitation for %s: it was used with another key, has expired, or was replaced by a newer one; %s for a new one (%w)", site, askTheHub, why)
}

// NotTheHub says that somebody else answers.
func NotTheHub(hosts []string, why error) error {
	return fmt.Errorf("what answers at %s is not the hub of this network, so nothing was sent to it; %s (%w)", strings.Join(hosts, ", "), askTheHub, why)
}

// HubNotValidNow says that the hub's certificate does not fit this computer's clock.
func HubNotValidNow(now time.Time, why error) error {
	return fmt.Errorf("the hub's certificate is not valid now: check this computer's clock, which says %s, and %s (%w)", Time(now), sameCommand, why)
}

// RefusedToJoin says why a hub that was reached gave no certificate.
func RefusedToJoin(v reason.Verdict) error {
	return fmt.Errorf("%s; nothing is lost, then %s", v.Line(), sameCommand)
}

// HubNotReached says that no answer came.
func HubNotReached(hosts []string, why error) error {
	return fmt.Errorf("the hub at %s cannot be reached; nothing is lost, %s later (%w)", strings.Join(hosts, ", "), sameCommand, why)
}

// KeyNotUploaded says that the last step of joining is still to come.
func KeyNotUploaded(why error) error {
	return fmt.Errorf("joined, but the recipient key is not uploaded; 'sealpost agent run' will do it: %w", why)
}

// Joined is what came of joining.
func Joined(site id.Site, role, dir string, again bool) string {
	if again {
		return fmt.Sprintf("%s had joined already; its keys and settings stay, its certificate is new.", site)
	}
	return fmt.Sprintf("%s has joined (%s) in %s.", site, role, dir)
}

// RenewedByItself says how long a certificate holds.
func RenewedByItself(until time.Time) string { return "until " + Time(until) + "; renewed by itself" }

// DecideToWhom says that nothing is sent before somebody approves.
func DecideToWhom(dir string) string {
	return "Files wait until you decide to whom they go: sealpost agent approve SITE… --dir " + dir
}

// RunNext is what to do after joining.
func RunNext(dir string) string {
	return fmt.Sprintf("Next: sealpost agent run --dir %s       then delete the invitation", dir)
}

// NoHubTellsTheTime says that nobody can be asked how wrong a clock is.
const NoHubTellsTheTime = "no hub says what time it is"

// Displaced says that another agent has the same identity.
func Displaced(site id.Site, why error) error {
	return fmt.Errorf("another agent of %s is running with this site's keys and has taken its queue; this one stops: %w", site, why)
}
