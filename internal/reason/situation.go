package reason

// Situation is a condition of a site, a tray or a message that its users read about. Its name
// begins the codes of its texts: "blocked.label", "blocked.next".
type Situation string

// The situations.
const (
	NotConnected Situation = "not-connected" // there is no connection to the hub
	Intercepted  Situation = "intercepted"   // something else answers in the hub's place
	ProxyShut    Situation = "proxy-shut"    // the proxy before the hub refuses connections
	RefusedByHub Situation = "hub-refuses"   // the hub answers, and refuses this site
	Blocked      Situation = "blocked"       // nothing is sent to an address for now
	Explained    Situation = "explained"     // a message waits for a reason of its own
	NotTaken     Situation = "not-taken"     // an entry of outbox/ is left alone
	LeftAlone    Situation = "left-alone"    // a name with a leading dot in outbox/ is left alone
	Repeated     Situation = "repeated"      // a file with the content of a delivered one is left
	OutOfPlace   Situation = "out-of-place"  // an entry of another folder of a tray is left alone
	TrayBroken   Situation = "tray-broken"   // a folder of a tray is missing or unreadable
	Unanswered   Situation = "unanswered"    // a message waits at the hub for long
	Doubted      Situation = "doubted"       // a receipt for a message is not believed
	Unwatched    Situation = "unwatched"     // only sweeps find new files
	WrongClock   Situation = "wrong-clock"   // this computer's clock differs from the hub's
	RoleDiffers  Situation = "role-differs"  // the hub has another role for this site
	OnHold       Situation = "on-hold"       // the hub's admin holds this site
	Unwelcome    Situation = "unwelcome"     // a recipient takes nothing from this site
	Uncompared   Situation = "uncompared"    // nothing is taken from a sender before a comparison
	TwoCopies    Situation = "two-copies"    // a second agent runs with the keys of this site
	OwnDiffers   Situation = "own-differs"   // the hub shows another key for this site
	PastChanged  Situation = "past-changed"  // the hub's audit chain contradicts its past
	NoRoster     Situation = "no-roster"     // the required roster is missing or has ended
	Expiring     Situation = "expiring"      // the certificate ends soon
	NotTrusted   Situation = "not-trusted"   // a site's identity differs from its pin
	HandedBack   Situation = "handed-back"   // an envelope cannot be opened for now
	NoRoom       Situation = "no-room"       // the inbox's disk is full
	EnoughToday  Situation = "enough-today"  // a sender has reached the limit of the day
	StateFull    Situation = "state-full"    // the disk of the state folder is full
	NoInbox      Situation = "no-inbox"      // the inbox cannot be used, mostly as its disk is away
	Refused      Situation = "refused"       // an envelope was refused for ever
	Away         Situation = "away"          // a tray is not configured any more
	Failed       Situation = "failed"        // a message did not reach every recipient
	TakenOver    Situation = "taken-over"    // the agent has stopped for one on another computer
	Stopped      Situation = "stopped"       // the agent does not run
)

// Situations lists the situations.
func Situations() []Situation {
	return []Situation{NotConnected, Intercepted, ProxyShut, RefusedByHub, Blocked, Explained,
		NotTaken, LeftAlone, Repeated, OutOfPlace, TrayBroken, Unanswered, Doubted, Unwatched,
		WrongClock, RoleDiffers, OnHold, Unwelcome, Uncompared, TwoCopies, OwnDiffers, PastChanged,
		NoRoster, Expiring, NotTrusted, HandedBack, NoRoom, EnoughToday, StateFull, NoInbox,
		Refused, Away, Failed, TakenOver, Stopped}
}

// InOutbox lists the situations of entries that are left alone, those that need a user first.
func InOutbox() []Situation { return []Situation{OutOfPlace, NotTaken, Repeated, LeftAlone} }

// Words are the texts of a situation.
type Words struct {
	Label Reason // in capitals, to begin a line with
	What  Reason // the event; none: the reason has it
	Safe  Reason // whether the files are safe
	Next  Reason // the next step, of sealpost or of the user
	Ask   Reason // whom to ask
}

// Words returns the texts for a site that sends.
func (s Situation) Words() Words {
	return Words{Label: s.text("label"), What: s.text("what"), Safe: s.text("safe"),
		Next: s.text("next"), Ask: s.text("ask")}
}

// WordsOfReceiver returns the texts for a site that only receives. It has no outbox.
func (s Situation) WordsOfReceiver() Words {
	w := s.Words()
	if received := s.text("received"); !received.IsZero() {
		w.Safe = received
	}
	return w
}

// text returns one of the texts; none if there is no template of it.
func (s Situation) text(name string) Reason {
	code := Code(s) + "." + Code(name)
	if Templates(English)[code] == "" {
		return Reason{}
	}
	return Reason{Code: code}
}
