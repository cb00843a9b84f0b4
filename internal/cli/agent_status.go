package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/service"
)

func agentStatusCommand() *cobra.Command {
	var dir, name string
	var latest int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "Say how the site stands: what is under way, what waits and why", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name != "" {
				return serviceStatus(cmd, service.Agent, name, asJSON)
			}
			var s agent.Status
			if err := askAgent(cmd.Context(), dir, agent.PathStatus, agent.StatusRequest{Latest: latest}, &s); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			return printAgentStatus(cmd.OutOrStdout(), s)
		},
	}
	dirFlag(cmd, &dir, "agent")
	serviceNameFlag(cmd, &name)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().IntVar(&latest, "latest", 10, "how many of the latest messages to list, at most 1000")
	return cmd
}

func printAgentStatus(w io.Writer, s agent.Status) error {
	fmt.Fprintf(w, "Site %s (%s), fingerprint %s\n", s.Site, s.Role, fingerprint(s.Fingerprint))
	if s.Link.Connected {
		fmt.Fprintf(w, "Hub:          %s, connected since %s\n", s.Link.Hub, localTime(s.Link.Since))
	} else {
		fmt.Fprintf(w, "Hub:          NOT connected since %s: %s\n", localTime(s.Link.Since), s.Link.Trouble)
	}
	if s.Link.Clock != "" {
		fmt.Fprintf(w, "Clock:        %s\n", s.Link.Clock)
	}
	fmt.Fprintf(w, "Certificate:  until %s (%d days)\n", localTime(s.Expires), int(time.Until(s.Expires).Hours()/24))
	for _, print := range []func(io.Writer, agent.Status) error{printTrouble, printOutbox, printInbox, printPins} {
		if err := print(w, s); err != nil {
			return err
		}
	}
	return nil
}

// printTrouble says first what a person may have to do something about.
func printTrouble(w io.Writer, s agent.Status) error {
	if s.Outbox != nil {
		for _, address := range slices.Sorted(maps.Keys(s.Outbox.Blocked)) {
			fmt.Fprintf(w, "WAITING       %s: %s\n", address, s.Outbox.Blocked[address])
		}
		for _, name := range slices.Sorted(maps.Keys(s.Outbox.NotTaken)) {
			fmt.Fprintf(w, "NOT TAKEN     %q: %s\n", name, s.Outbox.NotTaken[name])
		}
	}
	if s.Inbox != nil {
		for _, e := range slices.Sorted(maps.Keys(s.Inbox.Released)) {
			fmt.Fprintf(w, "HANDED BACK   envelope %s: %s\n", e, s.Inbox.Released[e])
		}
		for _, r := range s.Inbox.Refused {
			fmt.Fprintf(w, "REFUSED       envelope %s of %s at %s: %s\n", r.Envelope, r.Sender, localTime(r.Time), r.Detail)
		}
	}
	for _, p := range s.Pins {
		if p.Trouble != "" {
			fmt.Fprintf(w, "NOT TRUSTED   %s: %s. %s\n", p.Site, p.Trouble, p.Advice)
		}
	}
	return nil
}

func printOutbox(w io.Writer, s agent.Status) error {
	if s.Outbox == nil {
		return nil
	}
	fmt.Fprint(w, "\nOutbox:")
	for _, state := range slices.Sorted(maps.Keys(s.Outbox.Counts)) {
		fmt.Fprintf(w, " %d %s", s.Outbox.Counts[state], state)
	}
	if len(s.Outbox.Counts) == 0 {
		fmt.Fprint(w, " nothing under way")
	}
	fmt.Fprintln(w)
	for _, u := range s.Outbox.Uploads {
		fmt.Fprintf(w, "  sending envelope %s: %s of %s\n", u.Envelope, size(u.Done), size(u.Size))
	}
	t := newTable("MESSAGE", "NAME", "SIZE", "STATE", "CLAIMED", "RECIPIENTS")
	for _, m := range s.Outbox.Latest {
		var recipients []string
		for _, r := range m.Recipients {
			recipients = append(recipients, string(r.Site)+":"+answer(r.Outcome, r.Code, r.Verified, r.Doubt))
		}
		state := string(m.State)
		if m.Reason != "" {
			state += " (" + m.Reason + ")"
		}
		t.add(m.ID, fmt.Sprintf("%q", m.Name), size(m.Size), state, m.Claimed, recipients)
	}
	return t.print(w, "Nothing has been sent yet.")
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
	t := newTable("MESSAGE", "FROM", "FILE", "SIZE", "RECEIVED")
	for _, m := range s.Inbox.Latest {
		t.add(m.ID, m.Sender, fmt.Sprintf("%q", m.Path), size(m.Size), m.Received)
	}
	return t.print(w, "Nothing has been received yet.")
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
