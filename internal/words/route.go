package words

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sealpost/internal/id"
)

// Why nothing is sent to an address for now.

// HubFull says that the hub has no room.
const HubFull = "the hub's disk is full up to its reserve, so it takes nothing new: its admin has to make room there, or to lower the reserve ('sealpost hub status' says how)"

// HubTakesItLater says that the hub has an answer, which may heal, instead of taking an envelope.
func HubTakesItLater(answer error) string {
	return "the hub does not take it for now: " + answer.Error()
}

// HubGivesNoRoute says that the hub does not say to whom an address leads.
func HubGivesNoRoute(answer error) string {
	return "the hub gives no route for it: " + answer.Error()
}

// NobodyReceives says that no queue is bound to an address.
func NobodyReceives(address id.Address) string {
	return fmt.Sprintf("nobody receives %s yet: ask the admin of the hub to bind a queue to it", address)
}

// MayNotSend says that the hub does not let this site send to an address.
func MayNotSend(address id.Address) string {
	return fmt.Sprintf("this site may not send to %s: ask the admin of the hub", address)
}

// ReceivesNoMore says that sites of a direct address, which this site knows, do not receive in the network now.
func ReceivesNoMore(address id.Address) string {
	return fmt.Sprintf("not every site in %s receives in this network now: wait until it does again, or take the file back with 'sealpost agent recall' and ask the admin of the hub", address)
}

// Stray is a name in a direct address that is no site that receives.
type Stray struct {
	Name id.Site
	Self bool     // it is this site
	Near []string // the sites that may be meant
}

// ended puts a stop behind a sentence that has none.
func ended(text string) string {
	if strings.HasSuffix(text, "?") {
		return text
	}
	return text + "."
}

// strayNames says what is wrong with names that are no sites which receive.
func strayNames(strays []Stray, known []string) string {
	var says []string
	near := false
	for _, s := range strays {
		switch {
		case s.Self:
			says = append(says, fmt.Sprintf("%s is this site itself", s.Name))
		case len(s.Near) > 0:
			near = true
			says = append(says, fmt.Sprintf("no site of the name %s receives in this network; did you mean %s?", s.Name, either(s.Near)))
		default:
			says = append(says, fmt.Sprintf("no site of the name %s receives in this network", s.Name))
		}
	}
	text := strings.Join(says, "; ")
	if !near && len(known) > 0 {
		text += "; this site knows " + strings.Join(known[:min(10, len(known))], ", ")
	}
	return text
}

// either lists names as alternatives.
func either(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// OtherProposal says that the hub has answered for another address.
func OtherProposal(asked, answered id.Address) string {
	return fmt.Sprintf("the hub was asked for %s and proposes recipients for %.80q: ask the admin of the hub", asked, answered.String())
}

// DisorderedProposal says that the hub's proposal is not sorted.
func DisorderedProposal(address id.Address, site id.Site) string {
	return fmt.Sprintf("the hub's proposal for %s is out of order or names %s twice: ask the admin of the hub", address, site)
}

// InconsistentProposal says that the hub's proposal is not of the version that it names.
func InconsistentProposal(address id.Address) string {
	return fmt.Sprintf("the hub's proposal for %s contradicts itself: ask the admin of the hub", address)
}

// NeedsApproval says that nobody has approved yet whom an address may lead to, and the fingerprints to compare before.
func NeedsApproval(address id.Address, proposed []id.Site, shown map[id.Site]id.Hash) string {
	return fmt.Sprintf("%s needs approval of %s: run '%s'%s", address, Sites(proposed), approval(address, proposed), compareFirst(shown))
}

// RouteDiffers says that an address leads to others than those that were approved, and the fingerprints to compare before.
func RouteDiffers(address id.Address, added, gone, proposed []id.Site, shown map[id.Site]id.Hash) string {
	var says []string
	command := approval(address, proposed)
	if len(added) > 0 {
		says = append(says, "now also leads to "+Sites(added)+", which is not approved")
	}
	if len(gone) > 0 {
		says = append(says, "no longer leads to "+Sites(gone)+", which is approved")
		command += " --replace"
	}
	return fmt.Sprintf("%s %s: needs approval; if this is right run '%s'%s", address, strings.Join(says, " and "), command, compareFirst(shown))
}

// compareFirst lists fingerprints that are compared before an approval.
func compareFirst(shown map[id.Site]id.Hash) string {
	if len(shown) == 0 {
		return ""
	}
	return ". First compare by voice: " + Fingerprints(shown)
}

// Fingerprints lists the fingerprints of sites.
func Fingerprints(shown map[id.Site]id.Hash) string {
	var list []string
	for _, site := range slices.Sorted(maps.Keys(shown)) {
		list = append(list, fmt.Sprintf("%s has the fingerprint %s", site, Fingerprint(shown[site])))
	}
	return strings.Join(list, ", ")
}

// Fingerprint shows a fingerprint in groups that two people can compare by voice.
func Fingerprint[T ~string](hash T) string {
	var groups []string
	for rest := string(hash); rest != ""; {
		n := min(8, len(rest))
		groups = append(groups, rest[:n])
		rest = rest[n:]
	}
	return strings.Join(groups, " ")
}

// WouldDrop refuses an approval that would take others away without saying so.
func WouldDrop(address id.Address, approved, dropped, sites []id.Site) error {
	if len(sites) == 0 {
		return fmt.Errorf("%s is approved for %s: nothing was changed. To forget that, and approve those that the hub proposes next, say --replace", Sites(approved), address)
	}
	return fmt.Errorf("%s is approved for %s, and this would leave out %s: nothing was changed. To approve %s besides, say --add; to approve exactly %s, say --replace",
		Sites(approved), address, Sites(dropped), Sites(sites), Sites(sites))
}

// AddOrReplace refuses an approval that is asked for in two ways.
const AddOrReplace = "say --add or --replace, and not both; \"route\" goes with --replace only"

// NoSuchSites refuses to approve names that are no sites which receive.
func NoSuchSites(strays []Stray, known []string) error {
	return fmt.Errorf("%s Nothing was approved. To approve a site before headquarters has invited it, say --in-advance", ended(strayNames(strays, known)))
}

// NotSiteYet warns of approved names that are no sites which receive, or not yet.
func NotSiteYet(strays []Stray, known []string) string {
	return ended(strayNames(strays, known)) + " Files wait until there is one; 'sealpost agent approve' changes what is approved"
}

// NotChecked warns that names could not be looked up.
func NotChecked(sites []id.Site) string {
	return fmt.Sprintf("\nThe hub could not be asked whether %s is a site of this network: check the name yourself.", Sites(sites))
}

// NotJoined says that sites have not joined yet.
func NotJoined(sites []id.Site) string { return fmt.Sprintf("waiting for %s to join", Sites(sites)) }

// NoKeyYet says that sites are in the network, and that the hub has no key to send to them.
func NoKeyYet(sites []id.Site) string {
	return fmt.Sprintf("waiting for the key of %s: the site has joined, and its agent has not given the hub a key to send to. Ask its admin to run 'sealpost agent doctor' there: "+
		"mostly its agent does not run, or runs in a role that does not receive", Sites(sites))
}

// approval is the command that approves a proposal.
func approval(address id.Address, proposed []id.Site) string {
	return "sealpost agent approve " + strings.ReplaceAll(Sites(proposed), ", ", ",") + " --route " + address.String()
}

// Sites lists sites in a sentence.
func Sites(sites []id.Site) string {
	names := make([]string, len(sites))
	for i, s := range sites {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}
