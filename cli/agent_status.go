package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/progress"
	"sealpost/internal/reason"
	"sealpost/internal/service"
	"sealpost/internal/visible"
)

func agentStatusCommand() *cobra.Command {
	var name string
	latest := 10
	var watched bool
	cmd := &cobra.Command{
		Use: "status", Short: "Say how the site stands: what is under way, what waits and why",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name != "" {
				return serviceStatus(cmd, service.Agent, name)
			}
			dir := dirOf(cmd)
			language := languageOf(dir)
			say := func(ctx context.Context, w io.Writer) error {
				var s agent.Status
				in := agent.StatusRequest{Latest: latest}
				if err := askAgent(ctx, dir, agent.PathStatus, in, &s); err != nil {
					return err
				}
				switch {
				case wantsJSON(cmd) && watched:
					return printJSONLine(w, s)
				case wantsJSON(cmd):
					return printJSON(w, s)
				}
				return printAgentStatus(&printer{w, language}, s)
			}
			if watched && wantsJSON(cmd) {
				return watch(cmd.Context(), records{cmd.OutOrStdout()}, say)
			}
			if watched {
				return watch(cmd.Context(), cmd.OutOrStdout(), say)
			}
			return say(cmd.Context(), cmd.OutOrStdout())
		},
	}
	dirFlag(cmd, "agent")
	serviceNameFlag(cmd, &name)
	jsonFlag(cmd)
	cmd.Flags().BoolVar(&watched, "watch", false,
		"say it again whenever something has changed, until interrupted; with --json one object "+
			"on each line")
	countFlag(cmd, count{&latest, 0, 1000}, "latest",
		"how many of the latest messages to list, at most 1000")
	return cmd
}

func printAgentStatus(p *printer, s agent.Status) error {
	p.line(reason.New("status-site", "site", s.Site, "role", s.Role,
		"fingerprint", fingerprint(s.Fingerprint), "words", s.Words))
	hub := p.in(reason.New("label-hub"))
	switch {
	case s.Link.Connected:
		p.labelled(hub, reason.New("hub-connected", "hub", s.Link.Hub, "since", s.Link.Since))
	case s.Link.Trouble.IsZero():
		p.labelled(hub, reason.New("hub-connecting"))
	default:
		p.labelled(hub, reason.New("hub-apart", "since", s.Link.Since,
			"trouble", s.Link.Trouble))
		p.labelled("", reason.New("whom-to-ask", "ask", s.Link.Situation().Words().Ask))
	}
	if s.Link.HubRole != "" {
		p.matter(reason.RoleDiffers, "", s.Roles().Line())
	}
	if s.Link.Connected && s.Link.Hold != nil {
		p.matter(reason.OnHold, "", agent.OnHold(*s.Link.Hold))
	}
	if why := s.Unwelcome(); s.Link.Connected && !why.IsZero() {
		p.matter(reason.Unwelcome, "", why)
	}
	var uncompared []thing
	for _, sender := range s.Link.Uncompared {
		uncompared = append(uncompared, thing{"", agent.NotCompared(sender)})
	}
	p.matters(reason.Uncompared, uncompared)
	if c := s.Link.Copy; c != nil {
		p.matter(reason.TwoCopies, "", agent.AlsoRuns(*c))
	}
	if !s.OwnDiffers.IsZero() {
		p.matter(reason.OwnDiffers, "", s.OwnDiffers)
	}
	if !s.Link.Audit.IsZero() {
		p.matter(reason.PastChanged, "", s.Link.Audit)
	}
	if !s.Link.Clock.IsZero() {
		p.labelled(p.in(reason.New("label-clock")), s.Link.Clock)
	}
	days := int(time.Until(s.Expires).Hours() / 24)
	p.labelled(p.in(reason.New("label-certificate")),
		reason.New("certificate-until", "until", s.Expires, "days", days))
	if s.Rotation != nil {
		p.labelled(p.in(reason.New("label-rotation")), s.Rotation.Reason())
	}
	for _, limit := range s.Limits {
		p.labelled(p.in(reason.New("label-line")), limit.Reason())
	}
	p.labelled(p.in(reason.New("label-roster")), rosterStands(s.Roster))
	if err := printRosterTrouble(p, s.Roster); err != nil {
		return err
	}
	for _, section := range []func(*printer, agent.Status) error{
		printTrouble, printOutbox, printInbox, printApprovals, printPins} {
		if err := section(p, s); err != nil {
			return err
		}
	}
	return nil
}

// printTrouble writes the matters on which a user may have to act. They come first.
func printTrouble(p *printer, s agent.Status) error {
	if s.Outbox != nil {
		printBacklog(p, s)
	}
	if b := s.Inbox; b != nil {
		if !b.Away.IsZero() {
			p.matter(reason.NoInbox, "", b.Away)
		}
		if !b.Full.IsZero() {
			p.matter(reason.NoRoom, "", b.Full)
		}
		var limited []thing
		for _, why := range b.Limited.Reasons() {
			limited = append(limited, thing{"", why})
		}
		p.matters(reason.EnoughToday, limited)
		var released []thing
		handedBack := b.HandedBack()
		for _, e := range slices.Sorted(maps.Keys(handedBack)) {
			name := shown(p.in(reason.New("envelope", "envelope", e)))
			released = append(released, thing{name, handedBack[e]})
		}
		p.matters(reason.HandedBack, released)
		for _, r := range b.Refused {
			envelope := reason.New("envelope-of", "envelope", r.Envelope, "sender", r.Sender,
				"time", r.Time)
			p.matter(reason.Refused, shown(p.in(envelope)), r.Detail)
		}
	}
	for _, pin := range s.Pins {
		if !pin.Trouble.IsZero() {
			site := shown(visible.Text(string(pin.Site)))
			p.matter(reason.NotTrusted, site, reason.New("trouble-advice",
				"trouble", pin.Trouble, "advice", pin.Advice))
		}
	}
	return nil
}

// printBacklog writes the files that wait or are left alone, and why.
func printBacklog(p *printer, s agent.Status) {
	left := leftAlone(s)
	p.matters(reason.TrayBroken, left[reason.TrayBroken])
	var blocked, explained []thing
	for _, address := range slices.Sorted(maps.Keys(s.Outbox.Blocked)) {
		files := reason.New("address-files", "address", address, "n", s.Outbox.Queued[address])
		blocked = append(blocked, thing{shown(p.in(files)), s.Outbox.Blocked[address]})
	}
	p.matters(reason.Blocked, blocked)
	for _, m := range s.Outbox.Explained {
		explained = append(explained, thing{quoted(m.Name), m.Reason})
	}
	p.matters(reason.Explained, explained)
	var doubted []thing
	for _, m := range s.Outbox.Doubted {
		doubted = append(doubted, thing{quoted(m.Name), m.Reason})
	}
	p.matters(reason.Doubted, doubted)
	for _, situation := range reason.InOutbox() {
		p.matters(situation, left[situation])
	}
	if !s.Outbox.Unwatched.IsZero() {
		p.matter(reason.Unwatched, "", s.Outbox.Unwatched)
	}
	for _, a := range s.Outbox.Away {
		p.matter(reason.Away, shown(visible.Text(a.Name)), a.Says)
	}
}

// leftAlone lists the entries of all trays that are left alone, by situation. Where there are
// several trays the tray's name comes first.
func leftAlone(s agent.Status) map[reason.Situation][]thing {
	all := map[reason.Situation][]thing{}
	for _, t := range s.Outbox.Trays {
		for situation, notes := range t.Left() {
			for _, n := range notes {
				name := quoted(n.Name)
				if len(s.Outbox.Trays) > 1 {
					name = shown(visible.Text(t.Name)+": ") + name
				}
				all[situation] = append(all[situation], thing{name, n.Why})
			}
		}
	}
	return all
}

// thing is an entry, an address or an envelope in a situation, and why.
type thing struct {
	name shown
	why  reason.Reason
}

// matter writes a situation of one thing.
func (p *printer) matter(s reason.Situation, name shown, why reason.Reason) {
	p.matters(s, []thing{{name, why}})
}

// matters writes a situation of several things, and its meaning once.
func (p *printer) matters(s reason.Situation, list []thing) {
	said := s.Words()
	for _, t := range list {
		if t.name != "" {
			t.name += ": "
		}
		printf(p.w, "%-13s %s%s\n", said.Label.In(p.language), t.name, shown(p.in(t.why)))
	}
	if len(list) > 0 {
		p.labelled("", safeAndNext(said))
	}
}

// safeAndNext returns the meaning of a situation in one line.
func safeAndNext(w reason.Words) reason.Reason {
	return reason.New("safe-and-next", "safe", w.Safe, "next", w.Next, "ask", w.Ask)
}

// howFar returns the progress of a large envelope.
func howFar(done, size, rate, left int64) reason.Reason {
	return progress.State{Done: done, Size: size, Rate: rate,
		Left: time.Duration(left) * time.Second}.Reason()
}

func printOutbox(p *printer, s agent.Status) error {
	if s.Outbox == nil {
		return nil
	}
	p.head(reason.New("status-outbox", "counts", p.counts(s.Outbox.Standing)))
	if len(s.Outbox.Trays) > 1 {
		for _, t := range s.Outbox.Trays {
			p.item(reason.New("tray-stands", "name", t.Name, "kind", t.Kind, "route", t.Route,
				"dir", t.Dir, "counts", p.counts(t.Standing)))
		}
	}
	for _, c := range s.Outbox.Copies {
		printf(p.w, "  %s %s %s\n", c.Message, quoted(c.Path()),
			shown(p.in(c.Says(c.Progress()))))
	}
	for _, u := range s.Outbox.Uploads {
		p.item(reason.New("status-sending", "message", u.Message, "name", u.Name,
			"address", u.Address, "progress", howFar(u.Done, u.Size, u.Rate, u.Left)))
	}
	for _, m := range s.Outbox.Waiting {
		printf(p.w, "  %s %s %s\n", m.ID, quoted(m.Name), shown(p.in(m.WaitsFor())))
	}
	if more := s.Outbox.Counts["published"] - int64(len(s.Outbox.Waiting)); more > 0 {
		p.item(reason.New("and-more", "n", more))
	}
	if s.Outbox.IsLate(time.Now()) {
		p.item(safeAndNext(reason.Unanswered.Words()))
	}
	t := p.newTable(reason.New("columns-sent"))
	for _, m := range s.Outbox.Latest {
		var recipients []shown
		for _, r := range m.Recipients {
			said := answer{r.Outcome, r.Code, r.Verified, r.Doubt}.text()
			recipients = append(recipients, shown(visible.Text(string(r.Site))+":"+p.in(said)))
		}
		t.add(m.ID, quoted(m.Name), reason.Size(m.Size), m.Stands(), m.Claimed,
			recipients)
	}
	if err := t.print(p.w, p.in(reason.New("nothing-sent"))); err != nil {
		return err
	}
	for _, m := range s.Outbox.Latest { // not in the table: too wide for any window
		if !m.Reason.IsZero() && !m.Finished.IsZero() {
			p.item(reason.New("message-because", "message", m.ID, "state", m.Stands(),
				"why", m.Reason))
		}
	}
	return nil
}

// counts returns how many messages are in which state.
func (p *printer) counts(s agent.Standing) string {
	var list []string
	counts := maps.Clone(s.Counts)
	if n := s.OnTheWay(); n > 0 {
		counts["sealed"] -= n
		list = append(list, fmt.Sprintf("%d %s", n, p.in(reason.New("state-on-the-way"))))
	}
	for _, state := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[state]; n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, p.in(state.Reason())))
		}
	}
	if s.Settling > 0 {
		list = append(list, p.in(reason.New("status-settling", "n", s.Settling)))
	}
	if u := s.Unmarked; u.Count > 0 {
		list = append(list, p.in(reason.New("status-unmarked", "n", u.Count, "name", u.Name,
			"marker", u.Marker)))
	}
	if len(list) == 0 {
		return p.in(reason.New("idle"))
	}
	return strings.Join(list, ", ")
}

// answer is the answer of one recipient.
type answer struct {
	outcome, code string
	verified      bool
	doubt         reason.Reason
}

// text returns the answer in a word or two.
func (a answer) text() reason.Reason {
	switch {
	case a.outcome == "" && a.doubt.IsZero():
		return reason.New("answer-waiting")
	case a.outcome == "":
		return reason.New("answer-not-believed", "doubt", a.doubt)
	case a.outcome == "refused":
		return reason.New("answer-refused", "code", a.code)
	case a.outcome == "dead" && a.code == "requeued":
		return reason.New("answer-requeued")
	case a.outcome == "dead":
		return reason.New("answer-dead", "code", deadWord(a.code))
	case a.verified:
		return reason.New("answer-verified")
	}
	return reason.New("answer-not-believed", "doubt", a.doubt)
}

// deadWord returns the word for the code of a death; the code itself, if it is of a newer hub.
func deadWord(code string) reason.Reason {
	switch code {
	case "expired":
		return reason.New("dead-expired")
	case "max-attempts":
		return reason.New("dead-max-attempts")
	case "recipient-removed":
		return reason.New("dead-recipient-removed")
	case "lost-by-hub":
		return reason.New("dead-lost-by-hub")
	}
	return reason.Text(code)
}

func printInbox(p *printer, s agent.Status) error {
	if s.Inbox == nil {
		return nil
	}
	p.head(reason.New("status-opening", "n", s.Inbox.Opening))
	for _, d := range s.Inbox.Downloads {
		p.item(reason.New("status-downloading", "message", d.Message, "sender", d.Sender,
			"progress", howFar(d.Done, d.Size, d.Rate, d.Left)))
	}
	t := p.newTable(reason.New("columns-received"))
	for _, m := range s.Inbox.Latest {
		t.add(m.ID, m.Sender, quoted(filepath.ToSlash(m.Path)), reason.Size(m.Size),
			m.Received)
	}
	return t.print(p.w, p.in(reason.New("nothing-received")))
}

func printPins(p *printer, s agent.Status) error {
	if len(s.Pins) == 0 {
		return printDistrusted(p, s)
	}
	p.head(reason.New("status-pins"))
	t := p.newTable(reason.New("columns-pins"))
	for _, pin := range s.Pins {
		key := reason.New("key-version", "version", pin.Version, "changed", pin.Rekeyed.Reason())
		t.add(pin.Site, key, standing(pin.Standing), fingerprint(pin.Identity), pin.Words)
	}
	if err := t.print(p.w, ""); err != nil {
		return err
	}
	return printDistrusted(p, s)
}
