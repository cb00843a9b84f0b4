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
	Site      id.Site
	Connected bool
	Hub       string
	Trouble   string          // why it is not connected
	Apart     words.Situation // what it is then
	Since     time.Time
	Clock     string // how wrong it is, if it is
	Expires   time.Time
	Pins      []Pin
	Outbox    *outbox.Status
	Inbox     *inbox.Status
	Stopped   bool
}

// Pin is a site that is not what it was.
type Pin struct {
	Site    id.Site
	Trouble string
	Advice  string
}

func heading(s Snapshot, now time.Time) string {
	head := []string{words.StatusTitle + string(s.Site), words.AsOf(now)}
	if !s.Stopped {
		head = append(head, words.IfOld(Old))
	}
	return words.Lines(head)
}

// lines collects what a status file says.
type lines struct {
	list   []string
	moving bool // progress is told as well
}

func (l *lines) add(format string, args ...any) {
	l.list = append(l.list, fmt.Sprintf(format, args...))
}

// head begins a part.
func (l *lines) head(format string, args ...any) {
	l.add("")
	l.add(format, args...)
}

// tell says a situation with everything that a person wants to know.
func (l *lines) tell(s words.Situation, which, why string) {
	w := s.Words()
	l.head("%s", strings.TrimSpace(w.Label+" "+which))
	if !strings.HasPrefix(why, w.What) { // a reason that says it itself need not be told twice
		why = w.What + ": " + why
	}
	l.add("  What?         %s", why)
	l.add("  Is it safe?   %s", w.Safe)
	l.add("  What next?    %s", w.Next)
	l.add("  Whom to ask?  %s", w.Ask)
}

// more says that a list was cut.
func (l *lines) more(n int) {
	if n > most {
		l.add("  and more")
	}
}

func (s Snapshot) text(f File, moving bool) string {
	l := &lines{moving: moving}
	s.link(l)
	for _, p := range s.Pins {
		l.tell(words.NotTrusted, string(p.Site), p.Trouble+". "+p.Advice)
	}
	if f.Tray != "" && s.Outbox != nil {
		for _, a := range s.Outbox.Away {
			l.tell(words.Away, a.Name, a.Says)
		}
		for _, t := range s.Outbox.Trays {
			if t.Name == f.Tray {
				sending(l, t)
			}
		}
	}
	if f.Receives && s.Inbox != nil {
		receiving(l, s.Inbox)
	}
	return words.Lines(l.list)
}

func (s Snapshot) link(l *lines) {
	switch {
	case s.Stopped:
		l.tell(words.Stopped, "", words.WasStopped)
	case s.Connected:
		l.head("%s", words.Connected(s.Hub, s.Since))
	case s.Trouble == "":
		l.head("%s", words.Connecting)
	default:
		l.tell(s.Apart, "since "+words.Time(s.Since), s.Trouble)
	}
	if s.Clock != "" {
		l.tell(words.WrongClock, "", s.Clock)
	}
	if !s.Expires.IsZero() && time.Until(s.Expires) < endsSoon {
		l.tell(words.Expiring, "", words.EndsAt(s.Expires))
	}
}

func sending(l *lines, o outbox.TrayStatus) {
	for i, address := range slices.Sorted(maps.Keys(o.Blocked)) {
		if i == most {
			l.head("%s", words.MoreWaits)
			break
		}
		l.tell(words.Blocked, fmt.Sprintf("for %s (%s)", address, words.Count(o.Queued[address], "file", "files")), o.Blocked[address])
	}
	for _, m := range o.Explained {
		l.tell(words.Explained, fmt.Sprintf("%q [%s]", m.Name, m.ID), m.Reason)
	}
	if o.Unwatched != "" {
		l.tell(words.Unwatched, "", o.Unwatched)
	}
	if names := slices.Sorted(maps.Keys(o.NotTaken)); len(names) > 0 {
		w := words.NotTaken.Words()
		l.head("%s: %s", w.Label, w.What)
		for _, name := range names[:min(most, len(names))] {
			l.add("  %q: %s", name, o.NotTaken[name])
		}
		l.more(len(names))
		l.add("  Is it safe?   %s", w.Safe)
		l.add("  What next?    %s", w.Next)
		l.add("  Whom to ask?  %s", w.Ask)
	}
	underWay(l, o)
	ended(l, "DELIVERED last", o.Delivered, func(m outbox.Message) string { return words.HasReached(reached(m)) })
	ended(l, words.Failed.Words().Label+" last", o.Failed, func(m outbox.Message) string {
		return words.HasFailed(m.Reason, "failed/"+string(m.ID))
	})
}

func underWay(l *lines, o outbox.TrayStatus) {
	if len(o.Counts) == 0 {
		l.head("%s", words.NothingMoves)
		return
	}
	l.head("UNDER WAY")
	for _, state := range []struct {
		of   ledger.State
		says string
	}{
		{ledger.Claimed, words.JustTaken}, {ledger.Taken, held(o)}, {ledger.Sealed, words.GoingToHub}, {ledger.Published, words.WaitingAtHub},
	} {
		if n := o.Counts[state.of]; n > 0 {
			l.add("  %s", words.FilesAre(n, state.says))
		}
	}
	for i, u := range o.Uploads {
		if i == most {
			break
		}
		l.add("  %q to %s [%s]%s", u.Name, u.Address, u.Message, l.progress(u.Done, u.Size, u.Rate, u.Left))
	}
	l.more(len(o.Uploads))
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

func receiving(l *lines, b *inbox.Status) {
	if b.Full != "" {
		l.tell(words.NoRoom, "", b.Full)
	}
	envelopes := slices.Sorted(maps.Keys(b.Released))
	for _, e := range envelopes[:min(most, len(envelopes))] {
		l.tell(words.HandedBack, "envelope "+string(e), b.Released[e])
	}
	for _, r := range b.Refused[:min(3, len(b.Refused))] {
		l.tell(words.Refused, fmt.Sprintf("envelope %s of %s at %s", r.Envelope, r.Sender, words.Time(r.Time)), r.Detail)
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
