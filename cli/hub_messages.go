package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"sealpost/hub"
	"sealpost/internal/id"
	"sealpost/spool"
)

// messagesReport is the output of `hub messages --json`: records, and the size of the stored
// ciphertext.
type messagesReport struct {
	Messages     []spool.Record `json:"messages"`
	More         bool           `json:"more"` // there are older ones
	ContentBytes int64          `json:"content_bytes"`
}

func hubMessagesCommand() *cobra.Command {
	var sender, recipient string
	most := 100
	cmd := &cobra.Command{
		Use: "messages", Short: "List messages, newest first, as the hub knows them: metadata only",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := hub.MessagesRequest{Max: most}
			var err error
			if in.Sender, err = siteFlag(sender); err != nil {
				return err
			}
			if in.Recipient, err = siteFlag(recipient); err != nil {
				return err
			}
			report, err := findMessages(cmd.Context(), dirOf(cmd), in)
			if err != nil {
				return err
			}
			return show(cmd, report, func() error {
				return printMessages(cmd.OutOrStdout(), report)
			})
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&sender, "from", "", "only messages of this site")
	f.StringVar(&recipient, "to", "", "only messages for this site")
	countFlag(cmd, count{&most, 1, 1000}, "max", "how many, at most 1000")
	return cmd
}

// findMessages asks the hub for records. Without a sender or recipient it asks for each sender in
// turn.
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
	slices.SortStableFunc(report.Messages,
		func(a, b spool.Record) int { return b.Spooled.Compare(a.Spooled) })
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
		t.add(m.Message, m.Sender, m.Recipient, m.Queue, state, m.Spooled, m.Acknowledged,
			size(m.Size))
	}
	if err := t.print(w, "No messages."); err != nil {
		return err
	}
	if r.More {
		fmt.Fprintln(w, "There are older ones: --max, --from and --to choose.")
	}
	_, err := printf(w, "The hub holds %s of ciphertext.\n", size(r.ContentBytes))
	return err
}
