// Package words holds what sealpost says to people about their files, in one place: what happened, to which file, is it
// safe, what happens next, whom to ask.
//
// STATUS.txt, WHY.txt and `sealpost agent status` take their words from its table, so that the same thing is said the same
// way everywhere. It promises plain words, and that each situation answers all of these questions. It knows no rooms: who
// speaks hands in names and reasons as text.
package words

import (
	"fmt"
	"strings"
	"time"
)

// Situation is something that can be the matter.
type Situation int

// The situations of which people are told.
const (
	NotConnected Situation = iota // there is no connection to the hub
	Blocked                       // an address to which nothing is sent for now
	Explained                     // a message that waits for a reason of its own
	NotTaken                      // an entry of outbox/ that is left alone
	OutOfPlace                    // an entry of another folder of a tray that is left alone
	TrayBroken                    // a folder of a tray is missing or unreadable
	Unanswered                    // a message waits at the hub for long
	Unwatched                     // new files are found by looking for them only
	Intercepted                   // something else answers in the hub's place
	ProxyShut                     // the proxy on the way lets nothing through
	RefusedByHub                  // the hub was reached, and refuses this site
	WrongClock                    // this computer's clock or the hub's is wrong
	RoleDiffers                   // the hub has another role for this site
	TwoCopies                     // a second agent runs with the keys of this site
	Expiring                      // the certificate ends soon
	NotTrusted                    // another site shows itself as somebody else than before
	HandedBack                    // something for this site cannot be opened for now
	NoRoom                        // the inbox's disk is full
	StateFull                     // the disk of the state folder is full
	NoInbox                       // the inbox cannot be used, mostly as its disk is away
	Refused                       // something for this site was refused for ever
	Away                          // a tray that is not configured any more
	Failed                        // a message that did not reach everybody
	TakenOver                     // another computer runs the site, so that the agent has stopped
	Stopped                       // the agent does not run
	situations
)

// Words are what is said of a situation.
type Words struct {
	Label string // in capitals, to begin a line with
	What  string // happened
	Safe  string // is it?
	Next  string // what happens, or is to be done
	Ask   string // whom
}

// AsOf says of what time a status file is.
func AsOf(now time.Time) string {
	return "As of " + Time(now) + ". This file is replaced whenever something changes, and every few minutes."
}

// IfOld says what it means when a status file is older than this.
func IfOld(age time.Duration) string {
	return fmt.Sprintf("If this time is more than %d minutes ago, the agent is not running, or it cannot write here (this disk is full, read-only or hangs): nothing is lost, but files may be waiting. Tell the admin of your site.", int(age.Minutes()))
}

// SafeWhereMissing is said instead of where the files of a tray lie while a folder of it is missing.
const SafeWhereMissing = "sealpost has deleted nothing. Where the files lie cannot be seen while a folder of the tray is missing (see above)."

// Words returns what is said of a situation.
func (s Situation) Words() Words { return table[s] }

const (
	goOnDropping = ", and you can go on dropping files."
	othersKeepIt = ". What is sent to this site waits at the hub or at its sender."
)

// ForReceiver returns the words for a site that does not send, and so has no folder to drop files into.
func (w Words) ForReceiver() Words {
	w.Safe = strings.Replace(w.Safe, goOnDropping, othersKeepIt, 1)
	return w
}

var table = [situations]Words{
	Blocked: {
		Label: "WAITING",
		What:  "nothing is sent there for now",
		Safe:  "Yes. The files lie in the folder sending.",
		Next:  "They go out by themselves as soon as the reason is gone.",
		Ask:   "The admin of your site.",
	},
	Explained: {
		Label: "WAITING",
		What:  "it cannot be sent yet",
		Safe:  "Yes. It lies in the folder sending, or still in outbox.",
		Next:  "sealpost tries again by itself.",
		Ask:   "The admin of your site, if it stays so.",
	},
	NotTaken: {
		Label: "NOT TAKEN",
		What:  "it is left alone in outbox",
		Safe:  "Yes. It lies where you put it, and has not been sent to anybody.",
		Next:  "Do what the line says; sealpost looks again by itself.",
		Ask:   "The admin of your site.",
	},
	OutOfPlace: {
		Label: "OUT OF PLACE",
		What:  "it lies in a folder that sealpost keeps",
		Safe:  "Yes. sealpost leaves it where it lies.",
		Next:  "Do what the line says; sealpost looks again by itself.",
		Ask:   "The admin of your site.",
	},
	TrayBroken: {
		Label: "FOLDER MISSING",
		What:  "a folder of the tray is not there, or cannot be read",
		Safe:  "sealpost has deleted nothing, and sends nothing that it cannot read.",
		Next:  "Do what the line says; sealpost goes on by itself when the folder is back.",
		Ask:   "The admin of this computer.",
	},
	Unanswered: {
		Label: "AT THE HUB",
		What:  "not every site has taken it yet",
		Safe:  "Yes. It lies in the folder sending until every site has signed for it.",
		Next:  "Each site gets it by itself as soon as sealpost runs there.",
		Ask:   "The admin of your site, if it lasts: they can call the site.",
	},
	Unwatched: {
		Label: "SLOWER",
		What:  "new files are noticed later than usual",
		Safe:  "Yes. They are taken all the same.",
		Next:  "sealpost tries again by itself to be told of them.",
		Ask:   "The admin of this computer.",
	},
	NotConnected: {
		Label: "NOT CONNECTED",
		What:  "there is no connection to the hub",
		Safe:  "Yes. Nothing is lost" + goOnDropping,
		Next:  "sealpost tries again by itself, all the time.",
		Ask:   "The admin of your site, if it lasts: 'sealpost agent doctor' says where it breaks.",
	},
	Intercepted: {
		Label: "NOT CONNECTED",
		What:  "something else answers in the hub's place",
		Safe:  "Yes. Nothing was sent to it. Nothing is lost" + goOnDropping,
		Next:  "sealpost tries again by itself, and goes on as soon as the hub itself answers.",
		Ask:   "Whoever runs the firewall or the proxy of your network: connections to the hub must pass without inspection.",
	},
	ProxyShut: {
		Label: "NOT CONNECTED",
		What:  "the proxy on the way to the hub lets nothing through",
		Safe:  "Yes. Nothing is lost" + goOnDropping,
		Next:  "sealpost tries again by itself, all the time.",
		Ask:   "The admin of your site, who can ask whoever runs the proxy.",
	},
	RefusedByHub: {
		Label: "NOT CONNECTED",
		What:  "the hub was reached, and does not serve this site",
		Safe:  "Yes. Nothing is lost" + goOnDropping,
		Next:  "sealpost asks again by itself, and goes on as soon as the reason is gone.",
		Ask:   "The admin of your site, who can ask the admin of the hub.",
	},
	WrongClock: {
		Label: "CLOCK",
		What:  "this computer's clock and the hub's do not agree",
		Safe:  "Yes.",
		Next:  "If this clock is right, tell the admin of the hub; if not, set it right. Until then certificates may not be believed.",
		Ask:   "The admin of this computer.",
	},
	RoleDiffers: {
		Label: "ROLE",
		What:  "the hub has another role for this site",
		Safe:  "Yes. Nothing is lost. But what needs the role that is missing waits.",
		Next:  "One of the two has to be changed; the line says how.",
		Ask:   "The admin of your site, who can ask the admin of the hub which role is right.",
	},
	TwoCopies: {
		Label: "TWO COPIES",
		What:  "sealpost runs twice for this site",
		Safe:  "No file is lost. But two files can get the same message id, and each copy shows only its own.",
		Next:  "Stop one of the two for good. A second computer is a second site: ask the admin of the hub to invite it.",
		Ask:   "The admin of your site.",
	},
	Expiring: {
		Label: "CERTIFICATE",
		What:  "this site's certificate ends soon",
		Safe:  "Yes.",
		Next:  "It is renewed by itself while the hub can be reached. If it ends, the site has to be invited again.",
		Ask:   "The admin of your site.",
	},
	NotTrusted: {
		Label: "NOT TRUSTED",
		What:  "a site shows itself as somebody else than before",
		Safe:  "Yes. Nothing is sent to it, and nothing of it is believed.",
		Next:  "Call somebody there whom you know, and compare fingerprints.",
		Ask:   "The admin of your site.",
	},
	HandedBack: {
		Label: "HANDED BACK",
		What:  "something for this site cannot be opened yet",
		Safe:  "Yes. The hub keeps it, and so does its sender.",
		Next:  "It is tried again by itself.",
		Ask:   "The admin of your site, if it stays so.",
	},
	NoRoom: {
		Label: "NO ROOM",
		What:  "the disk of the inbox is too full to receive anything",
		Safe:  "Yes. The hub keeps what is to come, and so does its sender.",
		Next:  "It is received by itself as soon as there is room: move or delete what is not needed on that disk.",
		Ask:   "The admin of this computer.",
	},
	StateFull: {
		Label: "NO ROOM",
		What:  "the disk of sealpost's keys and ledger is full, so nothing is sent or received",
		Safe:  "Yes. Nothing is lost.",
		Next:  "Move or delete files on that disk that are not needed; sealpost goes on by itself as soon as there is room.",
		Ask:   "The admin of this computer.",
	},
	NoInbox: {
		Label: "INBOX AWAY",
		What:  "the inbox cannot be used, so nothing is received",
		Safe:  "Yes. The hub keeps what is to come, and so does its sender.",
		Next:  "It is received by itself as soon as the inbox can be used again.",
		Ask:   "The admin of this computer.",
	},
	Refused: {
		Label: "REFUSED",
		What:  "something for this site was damaged or forged, and was refused for ever",
		Safe:  "Yes. Nothing of it is in the inbox, and its sender still has it.",
		Next:  "Its sender is told, and can send it again.",
		Ask:   "The admin of your site, who can ask the sender.",
	},
	Away: {
		Label: "TRAY AWAY",
		What:  "a tray is not configured any more",
		Safe:  "Yes. Its files lie in the tray's own folders.",
		Next:  "They go on when the tray is back.",
		Ask:   "The admin of your site.",
	},
	Failed: {
		Label: "FAILED",
		What:  "it was not delivered to everybody",
		Safe:  "Yes. It lies in the folder failed, beside a note that says why.",
		Next:  "To send it again, copy it into outbox.",
		Ask:   "The admin of your site.",
	},
	TakenOver: {
		Label: "STOPPED",
		What:  "another computer runs this site",
		Safe:  "Yes. Nothing is lost: what comes for this site arrives at the other computer.",
		Next:  "Decide which computer it is to be, and stop the agent on the other one. Started here, it takes the site back.",
		Ask:   "The admin of your site.",
	},
	Stopped: {
		Label: "STOPPED",
		What:  "sealpost does not run at this site",
		Safe:  "Yes. Nothing is lost" + goOnDropping,
		Next:  "Nothing is sent or received until it is started again.",
		Ask:   "The admin of your site.",
	},
}
