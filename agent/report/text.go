package report

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sealpost/agent/inbox"
	"sealpost/agent/ledger"
	"sealpost/agent/outbox"
	"sealpost/internal/id"
	"sealpost/internal/progress"
	"sealpost/internal/reason"
	"sealpost/internal/visible"
)

const (
	most        = 10 // entries of each list in the file
	mostRefused = 3  // refused envelopes in the file
)

// endsSoon is the remaining life of a certificate from which on the file mentions it: renewal
// comes long before.
const endsSoon = 21 * 24 * time.Hour

// Snapshot is the state of a site at one moment.
type Snapshot struct {
	Connected bool
	Hub       string
	Trouble   reason.Reason    // why it is not connected
	Apart     reason.Situation // the situation then
	Since     time.Time
	Role      reason.Reason // how the hub's role for this site differs from its own
	Hold      reason.Reason // why the hub takes and gives nothing
	BlockedBy reason.Reason // which sites take nothing from this one
	// why files of some senders wait at the hub for a comparison
	Uncompared []reason.Reason
	Copy       reason.Reason   // where another agent runs with this site's keys
	Audit      reason.Reason   // how the hub's audit chain contradicts its past
	Own        reason.Reason   // the key of another one that the hub shows for this site
	Roster     reason.Reason   // why the roster lets nothing be sent or taken
	Clock      reason.Reason   // how wrong it is
	Limits     []reason.Reason // of the line, that hold now
	Expires    time.Time
	Pins       []Pin
	Outbox     *outbox.Status
	Inbox      *inbox.Status
	Stopped    bool
	End        reason.Situation // the situation when it has stopped
	Why        reason.Reason    // it has stopped
	Full       reason.Reason    // why the agent waits for room on its own disk
}

// Pin is a site whose identity is in doubt.
type Pin struct {
	Site    id.Site
	Trouble reason.Reason
	Advice  reason.Reason
}

func heading(f *file, s Snapshot, now time.Time) string {
	head := []reason.Reason{title(f.site), reason.New("status-at-end", "time", now)}
	if !s.Stopped {
		head = []reason.Reason{title(f.site), reason.New("status-as-of", "time", now),
			reason.New("status-if-old", "minutes", int(Old.Minutes()))}
	}
	if f.contact != "" {
		head = append(head, reason.New("status-contact", "contact", f.contact))
	}
	if f.other != "" && !s.Stopped {
		head = append(head, reason.New("status-also-in", "dir", f.other))
	}
	return join(head, f.language)
}

// join returns lines as every program on every system shows them.
func join(lines []reason.Reason, l reason.Language) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(line.In(l) + "\r\n")
	}
	return b.String()
}

// lines collects the lines of a status file.
type lines struct {
	text      strings.Builder
	language  reason.Language
	moving    bool // with progress
	receiving bool // the site does not send
	parts     []section
}

func (l *lines) in(r reason.Reason) string { return r.In(l.language) }

// write adds a line to a part.
func (l *lines) write(text string) {
	l.text.WriteString(text + "\r\n")
	l.record(line{Text: strings.TrimSpace(text)})
}

// head begins a part.
func (l *lines) head(parts ...string) {
	text := strings.TrimSpace(strings.Join(parts, " "))
	l.text.WriteString("\r\n" + text + "\r\n")
	l.parts = append(l.parts, section{Head: text})
}

// add adds a line to a part.
func (l *lines) add(r reason.Reason) { l.write("  " + l.in(r)) }

// tell adds a situation with the answers to its users' questions. thing is the file, site or
// folder.
func (l *lines) tell(s reason.Situation, thing string, why reason.Reason) {
	l.say(l.words(s), thing, why)
}

// words returns the texts of a situation at a site of this role.
func (l *lines) words(s reason.Situation) reason.Words {
	if l.receiving {
		return s.WordsOfReceiver()
	}
	return s.Words()
}

func (l *lines) say(w reason.Words, thing string, why reason.Reason) {
	l.head(l.in(w.Label), thing)
	if !w.What.IsZero() {
		why = reason.New("status-what-why", "what", w.What, "why", why)
	}
	l.answer(reason.New("ask-what"), why)
	l.answers(w)
}

// answers adds the answers that every situation has.
func (l *lines) answers(w reason.Words) {
	l.answer(reason.New("ask-safe"), w.Safe)
	l.answer(reason.New("ask-next"), w.Next)
	l.answer(reason.New("ask-whom"), w.Ask)
}

// answer adds a question with its answer. The answers stand below one another.
func (l *lines) answer(question, answer reason.Reason) {
	longest := 0
	for _, q := range []reason.Reason{reason.New("ask-what"), reason.New("ask-safe"),
		reason.New("ask-next"), reason.New("ask-whom")} {
		longest = max(longest, utf8.RuneCountInString(l.in(q)))
	}
	l.text.WriteString(fmt.Sprintf("  %-*s  %s\r\n", longest, l.in(question), l.in(answer)))
	l.record(line{Question: l.in(question), Text: l.in(answer)})
}

// more adds how many things a list leaves out of all that there are.
func (l *lines) more(all, listed int) {
	if all > listed {
		l.add(reason.New("and-more", "n", all-listed))
	}
}

// text returns the text of a place without the progress of transfers.
func (s Snapshot) text(p *place, language reason.Language) string {
	return s.write(&lines{language: language}, p)
}

// textWithProgress returns the text of a place with the progress of transfers.
func (s Snapshot) textWithProgress(p *place, language reason.Language) string {
	return s.write(&lines{language: language, moving: true}, p)
}

func (s Snapshot) write(l *lines, p *place) string {
	l.receiving = s.Outbox == nil && p.inbox != "" && len(p.trays) == 0
	s.link(l)
	for _, pin := range s.Pins {
		l.tell(reason.NotTrusted, visible.Text(string(pin.Site)),
			reason.New("trouble-advice", "trouble", pin.Trouble, "advice", pin.Advice))
	}
	if s.Outbox != nil {
		s.trays(l, p)
	}
	if s.Inbox != nil && p.inbox != "" {
		if len(p.trays) > 1 || filepath.Dir(p.inbox) != p.dir {
			l.head(l.in(reason.New("status-inbox", "dir", p.inbox)))
		}
		receiving(l, s.Inbox)
	} else if s.Inbox != nil && p.disks {
		inboxDisk(l, s.Inbox)
	}
	return visible.Lines(l.text.String())
}

func (s Snapshot) trays(l *lines, p *place) {
	if len(p.trays) > 0 {
		for _, a := range s.Outbox.Away {
			l.tell(reason.Away, visible.Text(a.Name), a.Says)
		}
	}
	for _, t := range s.Outbox.Trays {
		own := slices.Contains(p.trays, t.Name)
		broken := p.disks && len(t.Left()[reason.TrayBroken]) > 0
		if own && (len(p.trays) > 1 || t.Dir != p.dir) || !own && broken {
			l.head(l.in(reason.New("status-tray", "name", t.Name, "dir", t.Dir)))
		}
		if own {
			sending(l, t)
		} else if broken {
			notes(l, reason.TrayBroken, t.Left())
		}
	}
}

func (s Snapshot) link(l *lines) {
	switch {
	case !s.Full.IsZero() && !s.Stopped:
		l.tell(reason.StateFull, "", s.Full)
		return
	case s.Stopped:
		l.tell(s.End, "", s.Why)
	case s.Connected:
		l.head(l.in(reason.New("status-connected", "hub", s.Hub, "since", s.Since)))
		for _, limit := range s.Limits {
			l.add(limit)
		}
	case s.Trouble.IsZero():
		l.head(l.in(reason.New("status-connecting")))
	default:
		l.tell(s.Apart, l.in(reason.New("status-since", "time", s.Since)), s.Trouble)
	}
	if !s.Role.IsZero() && !s.Stopped {
		l.tell(reason.RoleDiffers, "", s.Role)
	}
	if !s.Hold.IsZero() && s.Connected && !s.Stopped {
		l.tell(reason.OnHold, "", s.Hold)
	}
	if !s.BlockedBy.IsZero() && s.Connected && !s.Stopped {
		l.tell(reason.Unwelcome, "", s.BlockedBy)
	}
	for _, why := range s.Uncompared {
		l.tell(reason.Uncompared, "", why)
	}
	if !s.Copy.IsZero() && !s.Stopped {
		l.tell(reason.TwoCopies, "", s.Copy)
	}
	if !s.Own.IsZero() && !s.Stopped {
		l.tell(reason.OwnDiffers, "", s.Own)
	}
	if !s.Audit.IsZero() && !s.Stopped {
		l.tell(reason.PastChanged, "", s.Audit)
	}
	if !s.Roster.IsZero() && !s.Stopped {
		l.tell(reason.NoRoster, "", s.Roster)
	}
	if !s.Clock.IsZero() {
		l.tell(reason.WrongClock, "", s.Clock)
	}
	if !s.Expires.IsZero() && time.Until(s.Expires) < endsSoon {
		l.tell(reason.Expiring, "", reason.New("certificate-ends", "time", s.Expires))
	}
}

func sending(l *lines, o outbox.TrayStatus) {
	left := o.Left()
	notes(l, reason.TrayBroken, left)
	// The place of files is named only while the folders are there.
	wordsOf := func(s reason.Situation) reason.Words {
		w := s.Words()
		if len(left[reason.TrayBroken]) > 0 {
			w.Safe = reason.New("safe-where-missing")
		}
		return w
	}
	for i, address := range slices.Sorted(maps.Keys(o.Blocked)) {
		if i == most {
			l.head(l.in(reason.Blocked.Words().Label),
				l.in(reason.New("and-more", "n", len(o.Blocked)-most)))
			break
		}
		files := reason.New("status-files-for", "address", address, "n", o.Queued[address])
		l.say(wordsOf(reason.Blocked), l.in(files), o.Blocked[address])
	}
	for _, m := range o.Explained {
		l.say(wordsOf(reason.Explained), called(m), m.Reason)
	}
	for _, m := range o.Doubted {
		l.say(wordsOf(reason.Doubted), called(m), m.Reason)
	}
	if !o.Unwatched.IsZero() {
		l.tell(reason.Unwatched, "", o.Unwatched)
	}
	for _, s := range reason.InOutbox() {
		notes(l, s, left)
	}
	underWay(l, o, wordsOf(reason.Unanswered))
	ended(l, reason.New("status-delivered-last"), o.Delivered, delivered)
	ended(l, reason.New("status-failed-last"), slices.DeleteFunc(slices.Clone(o.Failed),
		outbox.Message.IsRequeued), failed)
}

// called returns the name and the id of a message.
func called(m outbox.Message) string {
	return fmt.Sprintf("%s [%s]", visible.Quote(m.Name), visible.Text(string(m.ID)))
}

// notes adds the entries of a tray in one situation.
func notes(l *lines, s reason.Situation, left outbox.Left) {
	list := left[s]
	if len(list) == 0 {
		return
	}
	w := s.Words()
	l.head(l.in(w.Label) + ": " + l.in(w.What))
	shown := list[:min(most, len(list))]
	for _, n := range shown {
		l.write(fmt.Sprintf("  %s: %s", visible.Quote(n.Name), l.in(n.Why)))
	}
	l.more(len(list), len(shown))
	l.answers(w)
}

// underWay adds the messages that are not final. waiting has the words for those that have waited
// at the hub for long.
func underWay(l *lines, o outbox.TrayStatus, waiting reason.Words) {
	var states []reason.Reason
	add := func(n int64, r reason.Reason) {
		if n > 0 {
			states = append(states, r)
		}
	}
	claimed, taken := o.Counts[ledger.Claimed], o.Counts[ledger.Taken]
	sealed, published := o.Counts[ledger.Sealed], o.Counts[ledger.Published]
	add(o.Settling, reason.New("files-settling", "n", o.Settling))
	unmarked := o.Unmarked
	add(unmarked.Count, reason.New("files-unmarked", "n", unmarked.Count, "name", unmarked.Name,
		"marker", unmarked.Marker))
	add(claimed, reason.New("files-claimed", "n", claimed))
	if o.Hold == 0 {
		add(taken, reason.New("files-taken", "n", taken))
	} else {
		add(taken, reason.New("files-held", "n", taken, "hold", o.Hold))
	}
	onTheWay := o.OnTheWay()
	add(onTheWay, reason.New("files-on-the-way", "n", onTheWay))
	add(sealed-onTheWay, reason.New("files-sealed", "n", sealed-onTheWay))
	add(published, reason.New("files-published", "n", published))
	if len(o.OwnDisks) > 0 {
		l.head(l.in(reason.New("status-own-disk", "folders", o.OwnDisks)))
	}
	requeued := slices.DeleteFunc(slices.Clone(o.Failed),
		func(m outbox.Message) bool { return !m.IsRequeued() })
	if len(states)+len(requeued) == 0 {
		l.head(l.in(reason.New("status-idle")))
		return
	}
	l.head(l.in(reason.New("status-under-way")))
	for _, r := range states {
		l.add(r)
	}
	for _, c := range o.Copies[:min(most, len(o.Copies))] {
		var progress reason.Reason
		if l.moving {
			progress = c.Progress()
		}
		l.write(fmt.Sprintf("  %s %s", called(outbox.Message{Name: c.Path(),
			ID: c.Message}), l.in(c.Says(progress))))
		l.bar(c.Done, c.Size)
	}
	l.more(len(o.Copies), min(most, len(o.Copies)))
	uploads := o.Uploads[:min(most, len(o.Uploads))]
	for _, u := range uploads {
		l.add(reason.New("status-upload", "name", u.Name, "address", u.Address,
			"message", u.Message, "progress", l.progress(u.Done, u.Size, u.Rate, u.Left)))
		l.bar(u.Done, u.Size)
	}
	l.more(len(o.Uploads), len(uploads))
	for _, m := range o.Waiting {
		l.write(fmt.Sprintf("  %s %s", called(m), l.in(m.WaitsFor())))
	}
	l.more(int(published), len(o.Waiting))
	for _, m := range requeued {
		l.write(fmt.Sprintf("  %s %s", called(m), l.in(reason.New("message-requeued", "why",
			m.Reason, "folder", m.Folder))))
	}
	if o.IsLate(time.Now()) {
		l.answers(waiting)
	}
}

// progress returns the progress of a transfer; none in a file without progress.
func (l *lines) progress(done, size, rate, left int64) reason.Reason {
	if !l.moving {
		return reason.Reason{}
	}
	return progress.State{Done: done, Size: size, Rate: rate,
		Left: time.Duration(left) * time.Second}.Reason()
}

func ended(l *lines, head reason.Reason, list []outbox.Message,
	outcome func(outbox.Message) reason.Reason) {
	if len(list) == 0 {
		return
	}
	l.head(l.in(head))
	for _, m := range list[:min(most, len(list))] {
		l.write(fmt.Sprintf("  %s  %s %s [%s]", reason.TimeText(m.Finished), visible.Quote(m.Name),
			l.in(outcome(m)), visible.Text(string(m.ID))))
		if m.State == ledger.Delivered {
			l.receipts(m)
		}
	}
}

func delivered(m outbox.Message) reason.Reason {
	var sites []id.Site
	for _, r := range m.Recipients {
		sites = append(sites, r.Site)
	}
	return reason.New("message-reached", "sites", sites, "but", m.Reason)
}

// failed returns why a message has failed. A message without recipients was never sealed.
func failed(m outbox.Message) reason.Reason {
	note := ""
	if strings.HasPrefix(m.Folder, "failed/") {
		note = m.Folder
	}
	why := m.Reason
	switch {
	case why.IsDoubtfulRecall(): // its recipients may have it
		return reason.New("message-recalled", "why", why, "folder", note)
	case len(m.Recipients) == 0 && note == "":
		return reason.New("message-not-sent-unfiled", "why", why)
	case len(m.Recipients) == 0:
		return reason.New("message-not-sent", "why", why, "folder", note)
	case note == "":
		return reason.New("message-not-delivered-unfiled", "why", why)
	}
	return reason.New("message-not-delivered", "why", why, "folder", note)
}

// inboxDisk adds why nothing can be received onto the disk of the inbox.
func inboxDisk(l *lines, b *inbox.Status) {
	if !b.Away.IsZero() {
		l.tell(reason.NoInbox, "", b.Away)
	}
	if !b.Full.IsZero() {
		l.tell(reason.NoRoom, "", b.Full)
	}
}

func receiving(l *lines, b *inbox.Status) {
	inboxDisk(l, b)
	for _, why := range b.Limited.Reasons() {
		l.tell(reason.EnoughToday, "", why)
	}
	handedBack := b.HandedBack()
	envelopes := slices.Sorted(maps.Keys(handedBack))
	for _, e := range envelopes[:min(most, len(envelopes))] {
		l.tell(reason.HandedBack, l.in(reason.New("envelope", "envelope", e)),
			handedBack[e])
	}
	if len(envelopes) > most {
		l.head(l.in(reason.HandedBack.Words().Label),
			l.in(reason.New("and-more", "n", len(envelopes)-most)))
	}
	for _, r := range b.Refused[:min(mostRefused, len(b.Refused))] {
		thing := reason.New("envelope-of", "envelope", r.Envelope, "sender", r.Sender,
			"time", r.Time)
		l.tell(reason.Refused, l.in(thing), r.Detail)
	}
	if len(b.Downloads) > 0 {
		l.head(l.in(reason.New("status-receiving")))
		for _, d := range b.Downloads[:min(most, len(b.Downloads))] {
			l.add(reason.New("status-download", "sender", d.Sender, "message", d.Message,
				"progress", l.progress(d.Done, d.Size, d.Rate, d.Left)))
			l.bar(d.Done, d.Size)
		}
	}
	if len(b.Latest) == 0 {
		l.head(l.in(reason.New("status-received-nothing")))
		return
	}
	l.head(l.in(reason.New("status-received-last")))
	for _, m := range b.Latest[:min(most, len(b.Latest))] {
		l.add(reason.New("status-received", "time", m.Received, "path", filepath.ToSlash(m.Path),
			"sender", m.Sender, "size", reason.Size(m.Size), "message", m.ID))
	}
}
