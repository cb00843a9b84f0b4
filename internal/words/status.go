package words

import (
	"fmt"
	"strings"
	"time"
)

// What STATUS.txt and `sealpost agent status` say of what is well.

// StatusTitle begins every status file, and tells it from a person's own.
const StatusTitle = "sealpost: how things stand at "

// Headings and lines of the status.
const (
	Connecting     = "CONNECTING to the hub."
	NothingMoves   = "NOTHING IS UNDER WAY."
	NothingYet     = "NOTHING HAS BEEN RECEIVED yet."
	MoreWaits      = "and more that waits"
	WasStopped     = "it was stopped"
	JustTaken      = "just taken from outbox"
	WaitingToGo    = "waiting to be sent"
	GoingToHub     = "on the way to the hub"
	WaitingAtHub   = "at the hub, waiting for the receipts"
	NothingToMove  = "nothing under way"
	SettlingOutbox = "in outbox; it is taken when it has settled"
)

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

// HasReached says who has a message.
func HasReached(sites string) string { return "has reached " + sites }

// HasFailed says why a message has failed, and where more is said.
func HasFailed(reason, place string) string {
	return fmt.Sprintf("was not delivered to everybody: %s; WHY.txt in %s says more", sentence(reason), place)
}

// sentence is a reason without a stop at its end, for what goes on behind it.
func sentence(reason string) string { return strings.TrimRight(reason, ".?") }

// FilesAre says how many files are how.
func FilesAre(n int64, how string) string { return Count(n, "file is", "files are") + " " + how }

// SafeAndNext says in one line what a situation means.
func SafeAndNext(w Words) string {
	return fmt.Sprintf("Is it safe? %s What next? %s Whom to ask? %s", w.Safe, w.Next, w.Ask)
}

// TrayStands says in one line what a tray is, and how much is under way.
func TrayStands(name, kind, route, dir, counts string) string {
	return fmt.Sprintf("tray %s, which sends %s under %s from %s:%s", name, kind, route, dir, counts)
}
