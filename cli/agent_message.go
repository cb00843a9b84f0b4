package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/words"
)

func agentReceiptsCommand() *cobra.Command {
	var dir, export, content string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "receipts MESSAGE", Short: "Show the signed receipts of a message",
		Long: "Show the signed receipts of a message, by its message id or uid. With --json the statements themselves, as they were signed.\n" +
			"With --export a folder is made from which anybody can verify them without sealpost; its README.md says how.",
		Args: wantArgs("MESSAGE"), Example: "  sealpost agent receipts FL-LAB_DAT_20251008_001\n  sealpost agent receipts FL-LAB_DAT_20251008_001 --export proof",
		RunE: func(cmd *cobra.Command, args []string) error {
			if export != "" {
				return exportProof(cmd, dir, args[0], export, content)
			}
			var out agent.Receipts
			if err := askAgent(cmd.Context(), dir, agent.PathReceipts, agent.MessageRequest{Message: args[0]}, &out); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), out)
			}
			t := newTable("RECIPIENT", "RECEIPT", "TIME")
			for _, r := range out.Receipts {
				t.add(r.Site, answer("delivered", "", r.Verified, r.Doubt), r.Time)
			}
			return t.print(cmd.OutOrStdout(), words.NoReceiptsYet(out.Message.ID, string(out.Message.State)))
		},
	}
	dirFlag(cmd, &dir, "agent")
	jsonFlag(cmd, &asJSON)
	cmd.Flags().StringVar(&export, "export", "", "make this folder, with all that a third party needs to verify the receipts")
	cmd.Flags().StringVar(&content, "content", "", "with --export: where the file or folder that was sent lies now (default where sealpost left it)")
	return cmd
}

func exportProof(cmd *cobra.Command, dir, message, export, content string) error {
	var p agent.Proof
	if err := askAgent(cmd.Context(), dir, agent.PathProof, agent.MessageRequest{Message: message}, &p); err != nil {
		return err
	}
	sites, err := p.Write(export, content)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), words.ProofMade(export, words.Sites(sites), p.Record.ID, filepath.Join(export, "README.md")))
	return err
}

func agentLogCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "log MESSAGE", Short: "Tell what is known of a message, sent or received", Args: wantArgs("MESSAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out agent.Log
			if err := askAgent(cmd.Context(), dir, agent.PathLog, agent.MessageRequest{Message: args[0]}, &out); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), out)
			}
			return printLog(cmd.OutOrStdout(), out)
		},
	}
	dirFlag(cmd, &dir, "agent")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printLog(w io.Writer, l agent.Log) error {
	t := newTable("WHEN", "WHAT")
	if m := l.Sent; m != nil {
		t.add(m.Claimed, words.ClaimedAs(m.Name, m.ID, m.Size, m.Address))
		if !m.Sealed.IsZero() {
			t.add(m.Sealed, words.SealedFor(sitesOf(*m), m.Envelope))
		}
		if !m.Published.IsZero() {
			t.add(m.Published, words.HubHasIt)
		}
		for _, r := range m.Recipients {
			t.add(r.Time, fmt.Sprintf("%s: %s", r.Site, answer(r.Outcome, r.Code, r.Verified, r.Doubt.String())))
		}
		state := string(m.State)
		switch {
		case !m.Reason.IsZero():
			state += ": " + m.Reason.String()
		case !m.HeldUntil.IsZero():
			state += ": " + words.HeldUntil(m.HeldUntil)
		}
		t.add(m.Finished, state+words.LiesIn(m.Folder))
	}
	for _, m := range l.Received {
		t.add(m.Sent, words.ClaimedThere(m.Sender, m.Name, m.ID, m.Placed))
		if m.Placed {
			t.add(m.Received, words.ReceivedAs(m.Size, m.Path))
		}
	}
	return t.print(w, words.NothingKnown)
}

func sitesOf(m agent.SentMessage) string {
	var sites []string
	for _, r := range m.Recipients {
		sites = append(sites, string(r.Site))
	}
	return strings.Join(sites, ", ")
}
