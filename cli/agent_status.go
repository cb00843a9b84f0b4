package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/id"
	"sealpost/internal/progress"
	"sealpost/internal/service"
	"sealpost/internal/words"
)

func agentStatusCommand() *cobra.Command {
	var dir, name string
	var latest int
	var asJSON, watched bool
	cmd := &cobra.Command{
		Use: "status", Short: "Say how the site stands: what is under way, what waits and why", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name != "" {
				return serviceStatus(cmd, service.Agent, name, asJSON)
			}
			say := func(ctx context.Context, w io.Writer) error {
				var s agent.Status
				if err := askAgent(ctx, dir, agent.PathStatus, agent.StatusRequest{Latest: latest}, &s); err != nil {
					return err
				}
				if asJSON {
					return printJSON(w, s)
				}
				return printAgentStatus(w, s)
			}
			if watched {
				return watch(cmd.Context(), cmd.OutOrStdout(), say)
			}
			return say(cmd.Context(), cmd.OutOrStdout())
		},
	}
	dirFlag(cmd, &dir, "agent")
	serviceNameFlag(cmd, &name)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&watched, "watch", false, "say it again whenever something has changed, until interrupted")
	cmd.Flags().IntVar(&latest, "latest", 10, "how many of the latest messages to list, at most 1000")
	return cmd
}

func printAgentStatus(w io.Writer, s agent.Status) error {
	fmt.Fprintf(w, "Site %s (%s), fingerprint %s\n", s.Site, s.Role, fingerprint(s.Fingerprint))
	if s.Link.Connected {
		fmt.Fprintf(w, "Hub:          %s, connected since %s\n", s.Link.Hub, localTime(s.Link.Since))
	} else {
		fmt.Fprintf(w, "Hub:          %s\n", words.Apart(s.Link.Since, s.Link.Trouble))
		if s.Link.Trouble != "" {
			fmt.Fprintf(w, "              Whom to ask? %s\n", s.Link.Situation().Words().Ask)
		}
	}
	if s.Link.HubRole != "" {
		matter(w, words.RoleDiffers, "", words.Line(s.Roles()))
	}
	if c := s.Link.Copy; c != nil {
		matter(w, words.TwoCopies, "", words.AlsoRuns(c.From, c.Since))
	}
	if s.Link.Clock != "" {
		fmt.Fprintf(w, "Clock:        %s\n", s.Link.Clock)
	}
	fmt.Fprintf(w, "Certificate:  until %s (%d days)\n", localTime(s.Expires), int(time.Until(s.Expires).Hours()/24))
	for _, print := range []func(io.Writer, agent.Status) error{printTrouble, printOutbox, printInbox, printApprovals, printPins} {
		if err := print(w, s); err != nil {
			return err
		}
	}
	return nil
}

// printTrouble says first what a person may have to do something about.
func printTrouble(w io.Writer, s agent.Status) error {
	if s.Outbox != nil {
		broken, outOfPlace, notTaken := leftAlone(s)
		matters(w, words.TrayBroken, broken)
		var blocked []thing
		for _, address := range slices.Sorted(maps.Keys(s.Outbox.Blocked)) {
			which := fmt.Sprintf("%s (%s)", address, words.Count(s.Outbox.Queued[address], "file", "files"))
			blocked = append(blocked, thing{which, s.Outbox.Blocked[address].String()})
		}
		matters(w, words.Blocked, blocked)
		var explained []thing
		for _, m := range s.Outbox.Explained {
			explained = append(explained, thing{fmt.Sprintf("%q", m.Name), m.Reason.String()})
		}
		matters(w, words.Explained, explained)
		matters(w, words.OutOfPlace, outOfPlace)
		matters(w, words.NotTaken, notTaken)
		if s.Outbox.Unwatched != "" {
			matter(w, words.Unwatched, "", s.Outbox.Unwatched)
		}
		for _, a := range s.Outbox.Away {
			matter(w, words.Away, a.Name, a.Says)
		}
	}
	if s.Inbox != nil {
		if s.Inbox.Away != "" {
			matter(w, words.NoInbox, "", s.Inbox.Away)
		}
		if s.Inbox.Full != "" {
			matter(w, words.NoRoom, "", s.Inbox.Full)
		}
		matters(w, words.HandedBack, things(s.Inbox.Released, func(e id.Envelope) string { return "envelope " + string(e) }))
		for _, r := range s.Inbox.Refused {
			matter(w, words.Refused, fmt.Sprintf("envelope %s of %s at %s", r.Envelope, r.Sender, localTime(r.Time)), r.Detail.String())
		}
	}
	for _, p := range s.Pins {
		if p.Trouble != "" {
			matter(w, words.NotTrusted, string(p.Site), p.Trouble+". "+p.Advice)
		}
	}
	return nil
}

// leftAlone lists what is left alone in all trays, by what it means; where there are several, with the tray's name.
func leftAlone(s agent.Status) (broken, outOfPlace, notTaken []thing) {
	for _, t := range s.Outbox.Trays {
		name := func(entry string) string {
			if len(s.Outbox.Trays) > 1 {
				return fmt.Sprintf("%s: %q", t.Name, entry)
			}
			return fmt.Sprintf("%q", entry)
		}
		left := t.Left()
		for _, n := range left.Folders {
			broken = append(broken, thing{name(n.Name), n.Why})
		}
		for _, n := range left.Strays {
			outOfPlace = append(outOfPlace, thing{name(n.Name), n.Why})
		}
		for _, n := range left.Entries {
			notTaken = append(notTaken, thing{name(n.Name), n.Why})
		}
	}
	return broken, outOfPlace, notTaken
}

// thing is something with which a situation is the matter, and why.
type thing struct{ which, why string }

// things lists them in order.
func things[K ~string](why map[K]string, which func(K) string) (list []thing) {
	for _, k := range slices.Sorted(maps.Keys(why)) {
		list = append(list, thing{which(k), why[k]})
	}
	return list
}

// matter says what is the matter with something, and what that means.
func matter(w io.Writer, s words.Situation, which, why string) {
	matters(w, s, []thing{{which, why}})
}

// matters says of each thing what is the matter with it, and once what that means.
func matters(w io.Writer, s words.Situation, list []thing) {
	said := s.Words()
	for _, t := range list {
		if t.which != "" {
			t.which += ": "
		}
		fmt.Fprintf(w, "%-13s %s%s\n", said.Label, t.which, t.why)
	}
	if len(list) > 0 {
		fmt.Fprintf(w, "              %s\n", words.SafeAndNext(said))
	}
}

// howFar says how far a large envelope is.
func howFar(done, size, rate, left int64) string {
	return words.Progress(progress.State{Done: done, Size: size, Rate: rate, Left: time.Duration(left) * time.Second})
}

func printOutbox(w io.Writer, s agent.Status) error {
	if s.Outbox == nil {
		return nil
	}
	fmt.Fprintln(w, "\nOutbox:"+counts(s.Outbox.Standing))
	if len(s.Outbox.Trays) > 1 {
		for _, t := range s.Outbox.Trays {
			fmt.Fprintf(w, "  %s\n", words.TrayStands(t.Name, t.Kind, t.Route, t.Dir, counts(t.Standing)))
		}
	}
	for _, u := range s.Outbox.Uploads {
		fmt.Fprintf(w, "  sending %s %q to %s: %s\n", u.Message, u.Name, u.Address, howFar(u.Done, u.Size, u.Rate, u.Left))
	}
	for _, m := range s.Outbox.Waiting {
		fmt.Fprintf(w, "  %s %q %s\n", m.ID, m.Name, m.WaitsFor())
	}
	if more := s.Outbox.Counts["published"] - int64(len(s.Outbox.Waiting)); more > 0 {
		fmt.Fprintf(w, "  %s\n", words.AndMore(more))
	}
	if s.Outbox.IsLate(time.Now()) {
		fmt.Fprintf(w, "  %s\n", words.SafeAndNext(words.Unanswered.Words()))
	}
	t := newTable("MESSAGE", "NAME", "SIZE", "STATE", "CLAIMED", "RECIPIENTS")
	for _, m := range s.Outbox.Latest {
		var recipients []string
		for _, r := range m.Recipients {
			recipients = append(recipients, string(r.Site)+":"+answer(r.Outcome, r.Code, r.Verified, r.Doubt.String()))
		}
		t.add(m.ID, fmt.Sprintf("%q", m.Name), size(m.Size), m.State, m.Claimed, recipients)
	}
	if err := t.print(w, words.NothingSent); err != nil {
		return err
	}
	for _, m := range s.Outbox.Latest { // not in the table, which it would make too wide for any window
		if !m.Reason.IsZero() && !m.Finished.IsZero() {
			fmt.Fprintf(w, "  %s\n", words.Because(m.ID, string(m.State), m.Reason.String()))
		}
	}
	return nil
}

// counts says how many messages are in which state.
func counts(s agent.Standing) (text string) {
	for _, state := range slices.Sorted(maps.Keys(s.Counts)) {
		text += fmt.Sprintf(" %d %s", s.Counts[state], state)
	}
	return cmp.Or(text, " "+words.NothingToMove)
}

// answer is what one recipient has said, in a word or two.
func answer(outcome, code string, verified bool, doubt string) string {
	switch {
	case outcome == "":
		return "waiting"
	case outcome != "delivered":
		return outcome + "(" + code + ")"
	case verified:
		return "verified"
	}
	return "NOT BELIEVED(" + doubt + ")"
}

func printInbox(w io.Writer, s agent.Status) error {
	if s.Inbox == nil {
		return nil
	}
	fmt.Fprintf(w, "\nInbox: %d being opened\n", s.Inbox.Opening)
	for _, d := range s.Inbox.Downloads {
		fmt.Fprintf(w, "  receiving %s from %s: %s\n", d.Message, d.Sender, howFar(d.Done, d.Size, d.Rate, d.Left))
	}
	t := newTable("MESSAGE", "FROM", "FILE", "SIZE", "RECEIVED")
	for _, m := range s.Inbox.Latest {
		t.add(m.ID, m.Sender, fmt.Sprintf("%q", filepath.ToSlash(m.Path)), size(m.Size), m.Received)
	}
	return t.print(w, words.NothingCame)
}

func printPins(w io.Writer, s agent.Status) error {
	if len(s.Pins) == 0 {
		return nil
	}
	fmt.Fprintln(w, "\nKnown sites:")
	t := newTable("SITE", "KEY VERSION", "SEEN", "FINGERPRINT")
	for _, p := range s.Pins {
		t.add(p.Site, p.Version, p.Seen, fingerprint(p.Identity))
	}
	return t.print(w, "")
}
