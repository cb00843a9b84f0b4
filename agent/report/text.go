package report

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sealpost/agent/inbox"
	"sealpost/agent/ledger"
	"sealpost/agent/outbox"
	"sealpost/internal/id"
	"sealpost/internal/progress"
	"sealpost/internal/words"
)

// most bounds each list in the file.
const most = 10

// endsSoon is when the end of a certificate is worth a word: it should have been renewed long before.
const endsSoon = 21 * 24 * time.Hour

// Snapshot is how a site stands at one moment.
type Snapshot struct {
	Connected bool
	Hub       string
	Trouble   string          // why it is not connected
	Apart     words.Situation // what it is then
	Since     time.Time
	Role      string // how the hub's role for this site differs from its own; empty: it does not
	Copy      string // where another agent runs with this site's keys; empty: none does
	Clock     string // how wrong it is, if it is
	Expires   time.Time
	Pins      []Pin
	Outbox    *outbox.Status
	Inbox     *inbox.Status
	Stopped   bool
	End       words.Situation // what it means that it has stopped
	Why       string          // it has stopped
	Full      string          // why the agent waits for room on its own disk; empty: it does not
}

// Pin is a site that is not what it was.
type Pin struct {
	Site    id.Site
	Trouble string
	Advice  string
}

func heading(f *file, s Snapshot, now time.Time) string {
	head := []string{title(f.site), words.AsOf(now)}
	if !s.Stopped {
		head = append(head, words.IfOld(Old))
	}
	if !s.Stopped && f.other != "" {
		head = append(head, words.SiteFileIn(f.other))
	}
	return words.Lines(head)
}

// lines collects what a status file says.
type lines struct {
	list     []string
	moving   bool // progress is told as well
	receives bool // and does not send
}

func (l *lines) add(format string, args ...any) {
	l.list = append(l.list, fmt.Sprintf(format, args...))
}

// head begins a part.
func (l *lines) head(format string, args ...any) {
	l.add("")
	l.add(format, args...)
}

// tell adds a situation with everything that a user wants to know.
func (l *lines) tell(s words.Situation, which, why string) { l.say(l.words(s), which, why) }

// words returns what is said of a situation at a site of this role.
func (l *lines) words(s words.Situation) words.Words {
	if l.receives {
		return s.Words().ForReceiver()
	}
	return s.Words()
}

func (l *lines) say(w words.Words, which, why string) {
	l.head("%s", strings.TrimSpace(w.Label+" "+which))
	if !strings.HasPrefix(why, w.What) { // a reason that says it itself need not be told twice
		why = w.What + ": " + why
	}
	l.add("  What?         %s", why)
	l.answers(w)
}

// answers adds what is asked of every situation.
func (l *lines) answers(w words.Words) {
	l.add("  Is it safe?   %s", w.Safe)
	l.add("  What next?    %s", w.Next)
	l.add("  Whom to ask?  %s", w.Ask)
}

// more adds how many things a list leaves out of all that there are.
func (l *lines) more(all, listed int) {
	if all > listed {
		l.add("  %s", words.AndMore(int64(all-listed)))
	}
}

func (s Snapshot) text(p *place, moving bool) string {
	l := &lines{moving: moving, receives: s.Inbox != nil && s.Outbox == nil}
	s.link(l)
	for _, pin := range s.Pins {
		l.tell(words.NotTrusted, string(pin.Site), pin.Trouble+". "+pin.Advice)
	}
	if s.Outbox != nil {
		s.trays(l, p)
	}
	if s.Inbox != nil && p.inbox != "" {
		if len(p.trays) > 1 || filepath.Dir(p.inbox) != p.dir {
			l.head("%s", words.OfInbox(p.inbox))
		}
		receiving(l, s.Inbox)
	} else if s.Inbox != nil && p.disks {
		inboxDisk(l, s.Inbox)
	}
	return words.Lines(l.list)
}

func (s Snapshot) trays(l *lines, p *place) {
	if len(p.trays) > 0 {
		for _, a := range s.Outbox.Away {
			l.tell(words.Away, a.Name, a.Says)
		}
	}
	for _, t := range s.Outbox.Trays {
		own := slices.Contains(p.trays, t.Name)
		broken := p.disks && len(t.Left().Folders) > 0
		if own && (len(p.trays) > 1 || t.Dir != p.dir) || !own && broken {
			l.head("%s", words.OfTray(t.Name, t.Dir))
		}
		if own {
			sending(l, t)
		} else if broken {
			notes(l, words.TrayBroken, t.Left().Folders)
		}
	}
}

func (s Snapshot) link(l *lines) {
	switch {
	case s.Full != "" && !s.Stopped:
		l.tell(words.StateFull, "", s.Full)
		return
	case s.Stopped:
		l.tell(s.End, "", s.Why)
	case s.Connected:
		l.head("%s", words.Connected(s.Hub, s.Since))
	case s.Trouble == "":
		l.head("%s", words.Connecting)
	default:
		w := l.words(s.Apart)
		w.What = "" // the trouble says whether the hub was reached
		l.say(w, "since "+words.Time(s.Since), s.Trouble)
	}
	if s.Role != "" && !s.Stopped {
		l.tell(words.RoleDiffers, "", s.Role)
	}
	if s.Copy != "" && !s.Stopped {
		l.tell(words.TwoCopies, "", s.Copy)
	}
	if s.Clock != "" {
		l.tell(words.WrongClock, "", s.Clock)
	}
	if !s.Expires.IsZero() && time.Until(s.Expires) < endsSoon {
		l.tell(words.Expiring, "", words.EndsAt(s.Expires))
	}
}

func sending(l *lines, o outbox.TrayStatus) {
	left := o.Left()
	notes(l, words.TrayBroken, left.Folders)
	// Where files lie is said only while the folders are there.
	where := func(s words.Situation) words.Words {
		w := s.Words()
		if len(left.Folders) > 0 {
			w.Safe = words.SafeWhereMissing
		}
		return w
	}
	for i, address := range slices.Sorted(maps.Keys(o.Blocked)) {
		if i == most {
			l.head("%s %s", words.Blocked.Words().Label, words.AndMore(int64(len(o.Blocked)-most)))
			break
		}
		l.say(where(words.Blocked), fmt.Sprintf("for %s (%s)", address, words.Count(o.Queued[address], "file", "files")), o.Blocked[address].String())
	}
	for _, m := range o.Explained {
		l.say(where(words.Explained), fmt.Sprintf("%q [%s]", m.Name, m.ID), m.Reason.String())
	}
	if o.Unwatched != "" {
		l.tell(words.Unwatched, "", o.Unwatched)
	}
	notes(l, words.OutOfPlace, left.Strays)
	notes(l, words.NotTaken, left.Entries)
	underWay(l, o, where(words.Unanswered))
	ended(l, "DELIVERED last", o.Delivered, func(m outbox.Message) string { return words.HasReached(reached(m), m.Reason.String()) })
	ended(l, words.Failed.Words().Label+" last", o.Failed, func(m outbox.Message) string {
		if len(m.Recipients) == 0 {
			return words.NotSent(m.Reason.String(), m.Folder)
		}
		return words.HasFailed(m.Reason.String(), m.Folder)
	})
}

// notes adds what is left alone in a tray, as far as there is anything.
func notes(l *lines, s words.Situation, list []outbox.Note) {
	if len(list) == 0 {
		return
	}
	w := s.Words()
	l.head("%s: %s", w.Label, w.What)
	shown := list[:min(most, len(list))]
	for _, n := range shown {
		l.add("  %q: %s", n.Name, n.Why)
	}
	l.more(len(list), len(shown))
	l.answers(w)
}

// underWay adds what is on its way.
func underWay(l *lines, o outbox.TrayStatus, waiting words.Words) {
	var states []string
	for _, state := range []struct {
		count int64
		says  string
	}{
		{o.Counts[ledger.Claimed], words.JustTaken}, {o.Counts[ledger.Taken], held(o)},
		{o.Counts[ledger.Sealed], words.GoingToHub}, {o.Counts[ledger.Published], words.WaitingAtHub},
	} {
		if state.count > 0 {
			states = append(states, words.FilesAre(state.count, state.says))
		}
	}
	if len(states) == 0 {
		l.head("%s", words.NothingMoves)
		return
	}
	l.head("UNDER WAY")
	for _, says := range states {
		l.add("  %s", says)
	}
	uploads := o.Uploads[:min(most, len(o.Uploads))]
	for _, u := range uploads {
		l.add("  %q to %s [%s]%s", u.Name, u.Address, u.Message, l.progress(u.Done, u.Size, u.Rate, u.Left))
	}
	l.more(len(o.Uploads), len(uploads))
	for _, m := range o.Waiting {
		l.add("  %q [%s] %s", m.Name, m.ID, m.WaitsFor())
	}
	l.more(int(o.Counts[ledger.Published]), len(o.Waiting))
	if o.IsLate(time.Now()) {
		l.answers(waiting)
	}
}

// held says of what is taken whether it waits only to be sent.
func held(o outbox.TrayStatus) string {
	if o.Hold == 0 {
		return words.WaitingToGo
	}
	return words.WaitingToGo + "; " + words.HeldFor(o.Hold)
}

// progress says how far something is, where that is told.
func (l *lines) progress(done, size, rate, left int64) string {
	if !l.moving {
		return ""
	}
	return ": " + words.Progress(progress.State{Done: done, Size: size, Rate: rate, Left: time.Duration(left) * time.Second})
}

func ended(l *lines, head string, list []outbox.Message, says func(outbox.Message) string) {
	if len(list) == 0 {
		return
	}
	l.head("%s", head)
	for _, m := range list[:min(most, len(list))] {
		l.add("  %s  %q %s [%s]", words.Time(m.Finished), m.Name, says(m), m.ID)
	}
}

func reached(m outbox.Message) string {
	var sites []string
	for _, r := range m.Recipients {
		sites = append(sites, string(r.Site))
	}
	return strings.Join(sites, ", ")
}

// inboxDisk tells why nothing can be received onto the disk of the inbox.
func inboxDisk(l *lines, b *inbox.Status) {
	if b.Away != "" {
		l.tell(words.NoInbox, "", b.Away)
	}
	if b.Full != "" {
		l.tell(words.NoRoom, "", b.Full)
	}
}

func receiving(l *lines, b *inbox.Status) {
	inboxDisk(l, b)
	envelopes := slices.Sorted(maps.Keys(b.Released))
	for _, e := range envelopes[:min(most, len(envelopes))] {
		l.tell(words.HandedBack, "envelope "+string(e), b.Released[e])
	}
	if len(envelopes) > most {
		l.head("%s %s", words.HandedBack.Words().Label, words.AndMore(int64(len(envelopes)-most)))
	}
	for _, r := range b.Refused[:min(3, len(b.Refused))] {
		l.tell(words.Refused, fmt.Sprintf("envelope %s of %s at %s", r.Envelope, r.Sender, words.Time(r.Time)), r.Detail.String())
	}
	if len(b.Downloads) > 0 {
		l.head("BEING RECEIVED")
		for _, d := range b.Downloads[:min(most, len(b.Downloads))] {
			l.add("  from %s [%s]%s", d.Sender, d.Message, l.progress(d.Done, d.Size, d.Rate, d.Left))
		}
	}
	if len(b.Latest) == 0 {
		l.head("%s", words.NothingYet)
		return
	}
	l.head("RECEIVED last")
	for _, m := range b.Latest[:min(most, len(b.Latest))] {
		l.add("  %s  %q from %s, %s [%s]", words.Time(m.Received), filepath.ToSlash(m.Path), m.Sender, words.Size(m.Size), m.ID)
	}
}
