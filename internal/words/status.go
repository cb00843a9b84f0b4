package words

import (
	"fmt"
	"strings"
	"time"

	"sealpost/internal/id"
)

// What STATUS.txt and `sealpost agent status` say of what is well.

// StatusTitle begins every status file, and tells it from a person's own.
const StatusTitle = "sealpost: how things stand at "

// Headings and lines of the status.
const (
	Connecting     = "CONNECTING to the hub."
	NothingMoves   = "NOTHING IS UNDER WAY."
	NothingYet     = "NOTHING HAS BEEN RECEIVED yet."
	WasStopped     = "it was stopped"
	JustTaken      = "just taken from outbox"
	WaitingToGo    = "waiting to be sent"
	GoingToHub     = "on the way to the hub"
	WaitingAtHub   = "at the hub, waiting for the receipts"
	NothingToMove  = "nothing under way"
	SettlingOutbox = "in outbox; it is taken when it has settled"
)

// EndedBecause says that the agent has ended by itself.
func EndedBecause(why error) string { return fmt.Sprintf("it has ended with an error: %v", why) }

// RunsElsewhere says since when another computer runs this site.
func RunsElsewhere(since time.Time) string {
	return "another computer runs this site with the same keys since " + Time(since) + ", so this agent has stopped"
}

// AlsoRuns says where another agent runs with this site's keys.
func AlsoRuns(from string, since time.Time) string {
	return fmt.Sprintf("another computer runs this site with the same keys: it reaches the hub from %s, since %s", from, Time(since))
}

// RolesAre says that site and hub do not agree on the site's role, and how to change either.
func RolesAre(site id.Site, here, hub string, fingerprint id.Hash) Verdict {
	return verdict("if the hub is right, ask its admin for a new invitation and run 'sealpost agent join' with it in this folder; if this site is right, ask them to run '"+
		admit(string(site), here, fingerprint)+"'", "this site has the role %s in agent.toml, and the hub has it as %s", here, hub)
}

// What is said of approvals.
const (
	FirstProposal = "those that the hub proposes next"
	NoRoutes      = "This site sends to nobody."
)

// ApprovedAre says to whom a route may lead, and to whom it leads without approval.
func ApprovedAre(route string, approved, open []string, first bool) string {
	says := route + " may lead to " + strings.Join(approved, ", ")
	switch {
	case first:
		says = route + " may lead to " + FirstProposal
	case len(approved) == 0:
		says = route + " may lead to nobody yet"
	}
	if len(open) > 0 {
		says += "; not approved: " + strings.Join(open, ", ") + " ('sealpost agent sites' has the fingerprints)"
	}
	return says
}

// Connected says to which hub.
func Connected(hub string, since time.Time) string {
	return fmt.Sprintf("CONNECTED to the hub %s since %s.", hub, Time(since))
}

// Apart says why there is no connection.
func Apart(since time.Time, trouble string) string {
	if trouble == "" {
		return "connecting"
	}
	return fmt.Sprintf("NOT connected since %s: %s", Time(since), trouble)
}

// EndsAt says when a certificate ends.
func EndsAt(expires time.Time) string { return "it ends at " + Time(expires) }

// HasReached says who has a message, and what else is to be said of it; mostly nothing.
func HasReached(sites, reason string) string {
	if reason == "" {
		return "has reached " + sites
	}
	return fmt.Sprintf("has reached %s; %s", sites, sentence(reason))
}

// HasFailed says why a message has failed, and where in its tray more is said; place is its folder there.
func HasFailed(reason, place string) string {
	says := "was not delivered to everybody: " + sentence(reason)
	if strings.HasPrefix(place, "failed/") {
		return fmt.Sprintf("%s; WHY.txt in %s says more", says, place)
	}
	return says + "; it is not in the folder failed yet"
}

// NotSent says that a message has failed of which nothing was sent, and where in its tray more is said.
func NotSent(reason, place string) string {
	says := "was not sent: " + sentence(reason)
	if strings.HasPrefix(place, "failed/") {
		return fmt.Sprintf("%s; WHY.txt in %s says more", says, place)
	}
	return says + "; it is not in the folder failed yet"
}

// ReceiptNotBelieved names a site whose receipt is not believed.
func ReceiptNotBelieved(site string) string { return site + " (its receipt is not believed)" }

// WaitsAtHub says for which sites a message waits at the hub, and what the others have answered.
func WaitsAtHub(open []string, since time.Time, have, lack []string) string {
	says := fmt.Sprintf("waits at the hub for %s since %s", strings.Join(open, ", "), Time(since))
	if len(have) > 0 {
		says += fmt.Sprintf("; %s %s it", strings.Join(have, ", "), has(have))
	}
	if len(lack) > 0 {
		says += fmt.Sprintf("; %s %s not get it", strings.Join(lack, ", "), does(lack))
	}
	return says
}

func has(sites []string) string {
	if len(sites) == 1 {
		return "has"
	}
	return "have"
}

func does(sites []string) string {
	if len(sites) == 1 {
		return "does"
	}
	return "do"
}

// AndMore says how many things a list leaves out.
func AndMore(n int64) string { return fmt.Sprintf("and %d more", n) }

// sentence is a reason without a stop at its end, for what goes on behind it.
func sentence(reason string) string { return strings.TrimRight(reason, ".?") }

// FilesAre says how many files are how.
func FilesAre(n int64, how string) string { return Count(n, "file is", "files are") + " " + how }

// OfTray begins what is said of one tray of several, or of one elsewhere.
func OfTray(name, dir string) string { return fmt.Sprintf("THE TRAY %s, in %s", name, dir) }

// OfInbox begins what is said of an inbox elsewhere.
func OfInbox(dir string) string { return "THE INBOX " + dir }

// SiteFileIn says where else to look when a file is old.
func SiteFileIn(dir string) string {
	return "If it is that old, look into the file of this name in the folder " + dir + " too."
}

// NoStatusName says that a folder has other files of all names that a status file may have.
func NoStatusName(dir string, names []string) error {
	return fmt.Errorf("in %s lie other files named %s: rename one of them", dir, strings.Join(names, " and "))
}

// The last word of a status file in a folder that the configuration names no longer. A list of folders follows StatusIn.

// NotKept says that the file is not kept any more.
func NotKept(now time.Time) string {
	return "This file is not kept any more since " + Time(now) + ": the site uses other folders."
}

// InboxIn says where an inbox is.
func InboxIn(dir string) string { return "The inbox of the site is " + dir + "." }

// TrayIn says where a tray is.
func TrayIn(name, dir string) string {
	return fmt.Sprintf("The tray %s of the site is in %s.", name, dir)
}

// RestLeftAlone says what becomes of what lies in other folders.
const RestLeftAlone = "What lies in none of these folders is left alone."

// StatusIn says where to look instead.
const StatusIn = "How things stand is said in a file of this name in:"

// SafeAndNext says in one line what a situation means.
func SafeAndNext(w Words) string {
	return fmt.Sprintf("Is it safe? %s What next? %s Whom to ask? %s", w.Safe, w.Next, w.Ask)
}

// TrayStands says in one line what a tray is, and how much is under way.
func TrayStands(name, kind, route, dir, counts string) string {
	return fmt.Sprintf("tray %s, which sends %s under %s from %s:%s", name, kind, route, dir, counts)
}
