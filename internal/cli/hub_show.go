package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sealpost/hub"
	"sealpost/internal/id"
	"sealpost/spool"
)

func hubBindCommand(verb, path string) *cobra.Command {
	var dir string
	short := map[string]string{"bind": "Direct routing keys to a queue", "unbind": "Stop directing routing keys to a queue"}[verb]
	cmd := &cobra.Command{
		Use: verb + " QUEUE KEY…", Short: short,
		Long: short + ".\n\nA KEY is a routing key such as fl-lab.dat, in which * stands for one word and # for any number of words. Quote them, so\n" +
			"that the shell leaves them alone. Senders hear of the change, and approve it before they send to more or fewer sites.",
		Args: wantArgs("QUEUE", "KEY…"), Example: "  sealpost hub " + verb + " ca_rc_queue 'fl-lab.*' 'pa-lab.*'",
		RunE: func(cmd *cobra.Command, args []string) error {
			var out hub.Bound
			if err := askHub(cmd.Context(), dir, path, hub.BindRequest{Queue: args[0], Keys: args[1:]}, &out); err != nil {
				return err
			}
			bindings := strings.Join(out.Bindings, " ")
			if bindings == "" {
				bindings = "nothing but what is addressed to it directly"
			}
			return say(cmd.OutOrStdout(), out.Changed, "%s now receives: %s", "Nothing to change: %s receives: %s", args[0], bindings)
		},
	}
	dirFlag(cmd, &dir, "hub")
	return cmd
}

func hubQueuesCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "queues", Short: "List the queues with their figures", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out hub.QueuesAnswer
			if err := askHub(cmd.Context(), dir, hub.ControlQueues, hub.Nothing{}, &out); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), out)
			}
			t := newTable("QUEUE", "SITE", "WAITING", "LEASED", "RELEASED", "SETTLED", "DEAD", "OLDEST", "BINDINGS")
			for _, q := range out.Queues {
				t.add(q.Name, q.Site, q.Waiting, q.Leased, q.Released, q.Settled, q.Dead, q.Oldest, q.Bindings)
			}
			return t.print(cmd.OutOrStdout(), "No queues yet. Inviting a site that receives makes its queue.")
		},
	}
	dirFlag(cmd, &dir, "hub")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// messagesReport is what `hub messages --json` prints: records, and how much ciphertext the hub holds for all of them.
type messagesReport struct {
	Messages     []spool.Record `json:"messages"`
	More         bool           `json:"more"` // there are older ones
	ContentBytes int64          `json:"content_bytes"`
}

func hubMessagesCommand() *cobra.Command {
	var dir, sender, recipient string
	var most int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "messages", Short: "List messages, newest first, as the hub knows them: metadata only", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := hub.MessagesRequest{Sender: id.Site(sender), Recipient: id.Site(recipient), Max: most}
			report, err := findMessages(cmd.Context(), dir, in)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), report)
			}
			return printMessages(cmd.OutOrStdout(), report)
		},
	}
	dirFlag(cmd, &dir, "hub")
	jsonFlag(cmd, &asJSON)
	f := cmd.Flags()
	f.StringVar(&sender, "from", "", "only messages of this site")
	f.StringVar(&recipient, "to", "", "only messages for this site")
	f.IntVar(&most, "max", 100, "how many, at most 1000")
	return cmd
}

// findMessages asks the hub for records. Without a sender or recipient it asks for each sender in turn.
func findMessages(ctx context.Context, dir string, in hub.MessagesRequest) (messagesReport, error) {
	var status hub.Status
	if err := askHub(ctx, dir, hub.ControlStatus, hub.Nothing{}, &status); err != nil {
		return messagesReport{}, err
	}
	senders := []id.Site{in.Sender}
	if in.Sender == "" && in.Recipient == "" {
		var sites hub.SitesAnswer
		if err := askHub(ctx, dir, hub.ControlSites, hub.Nothing{}, &sites); err != nil {
			return messagesReport{}, err
		}
		senders = nil
		for _, s := range sites.Sites {
			senders = append(senders, s.Site)
		}
	}
	report := messagesReport{Messages: []spool.Record{}, ContentBytes: status.Spool.Content}
	for _, sender := range senders {
		in.Sender = sender
		var out hub.MessagesAnswer
		if err := askHub(ctx, dir, hub.ControlMessages, in, &out); err != nil {
			return messagesReport{}, err
		}
		report.Messages = append(report.Messages, out.Messages...)
		report.More = report.More || out.Next != 0
	}
	slices.SortStableFunc(report.Messages, func(a, b spool.Record) int { return b.Spooled.Compare(a.Spooled) })
	if in.Max > 0 && len(report.Messages) > in.Max {
		report.Messages, report.More = report.Messages[:in.Max], true
	}
	return report, nil
}

func printMessages(w io.Writer, r messagesReport) error {
	t := newTable("MESSAGE", "FROM", "TO", "QUEUE", "STATE", "SPOOLED", "ACKNOWLEDGED", "ENVELOPE")
	for _, m := range r.Messages {
		state := m.State
		if m.Code != "" {
			state += " (" + m.Code + ")"
		}
		t.add(m.Message, m.Sender, m.Recipient, m.Queue, state, m.Spooled, m.Acknowledged, size(m.Size))
	}
	if err := t.print(w, "No messages."); err != nil {
		return err
	}
	if r.More {
		fmt.Fprintln(w, "There are older ones: --max, --from and --to choose.")
	}
	_, err := fmt.Fprintf(w, "The hub holds %s of ciphertext.\n", size(r.ContentBytes))
	return err
}

func hubStatusCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "Say how the hub is", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s hub.Status
			if err := askHub(cmd.Context(), dir, hub.ControlStatus, hub.Nothing{}, &s); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			return printHubStatus(cmd.OutOrStdout(), s)
		},
	}
	dirFlag(cmd, &dir, "hub")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printHubStatus(w io.Writer, s hub.Status) error {
	fmt.Fprintf(w, "Hub %s, sealpost %s, listening on %s, since %s\n", s.Hub, s.Version, s.Listen, localTime(s.Started))
	fmt.Fprintf(w, "Network:      %s (%s)\n", fingerprint(s.Network), s.Suite)
	fmt.Fprintf(w, "Certificate:  until %s\n", localTime(s.CertExpires))
	fmt.Fprintf(w, "Sites:        %d joined, %d connections\n", s.Sites, s.Connections)
	fmt.Fprintf(w, "Deliveries:   %d waiting (%d leased, %d released), %d settled, %d dead\n", s.Waiting, s.Leased, s.Released, s.Settled, s.Dead)
	if !s.Oldest.IsZero() {
		fmt.Fprintf(w, "Oldest:       waits since %s\n", localTime(s.Oldest))
	}
	fmt.Fprintf(w, "Spool:        %s of ciphertext in %d envelopes\n", size(s.Spool.Content), s.Spool.Envelopes)
	_, err := fmt.Fprintf(w, "Disk:         %s free; nothing new is taken below %s\n", size(s.Spool.DiskFree), size(s.Spool.Reserve))
	return err
}
