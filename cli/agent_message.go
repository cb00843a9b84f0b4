package cli

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

func agentReceiptsCommand() *cobra.Command {
	var export, content string
	cmd := &cobra.Command{
		Use: "receipts MESSAGE", Short: "Show the signed receipts of a message",
		Long: "Show the signed receipts of a message, by its message id or uid. With --json the\n" +
			"statements themselves, as they were signed. With --export a folder is made from\n" +
			"which anybody can verify them without sealpost; its README.md says how.",
		Args: wantArgs("MESSAGE"), Example: "  sealpost agent receipts FL-LAB_DAT_20251008_001\n" +
			"  sealpost agent receipts FL-LAB_DAT_20251008_001 --export proof",
		RunE: func(cmd *cobra.Command, args []string) error {
			if export != "" {
				return exportProof(cmd, args[0], export, content)
			}
			return showAgent(cmd, agent.PathReceipts, agent.MessageRequest{Message: args[0]},
				printReceipts)
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	cmd.Flags().StringVar(&export, "export", "",
		"make this folder, with all that a third party needs to verify the receipts")
	cmd.Flags().StringVar(&content, "content", "",
		"with --export: where the file or folder that was sent lies now (default where "+
			"sealpost left it)")
	return cmd
}

func printReceipts(p *printer, out agent.Receipts) error {
	t := p.newTable(reason.New("columns-receipts"))
	for _, r := range out.Receipts {
		t.add(r.Site, answer{"delivered", "", r.Verified, r.Doubt}.text(), r.Time,
			standing(r.Standing))
	}
	return t.print(p.w, p.in(reason.New("no-receipts-yet", "message", out.Message.ID,
		"state", out.Message.Stands())))
}

func exportProof(cmd *cobra.Command, message, export, content string) error {
	var proof agent.Proof
	in := agent.MessageRequest{Message: message}
	if err := askAgent(cmd.Context(), dirOf(cmd), agent.PathProof, in, &proof); err != nil {
		return err
	}
	sites, err := proof.Write(export, content)
	if err != nil {
		return err
	}
	return showDone(cmd, agent.Done{Says: []reason.Reason{reason.New("proof-made", "dir", export,
		"sites", sites, "message", proof.Record.ID, "readme", filepath.Join(export, "README.md"))}})
}

const agentProofHelp = `Make a folder that proves to anybody which site has sent a received message,
by its message id or uid. It is verified with OpenSSL alone, and its README.md
says how.

If the message came together with others, the folder shows nothing of them, and
so not the time of sending that the sender has stated: it is signed together
with all names. --whole-envelope adds it, and the names of the others.

The receipts of a message that this site has sent prove the other direction:
sealpost agent receipts MESSAGE --export DIR.`

func agentProofCommand() *cobra.Command {
	var export string
	var whole bool
	cmd := &cobra.Command{
		Use: "proof MESSAGE --export DIR", Short: "Prove who has sent a received message",
		Long: agentProofHelp, Args: wantArgs("MESSAGE"),
		Example: "  sealpost agent proof FL-LAB_DAT_20251008_001 --export origin",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wantFlags(cmd, "export"); err != nil {
				return err
			}
			scope := agent.OneMessage
			if whole {
				scope = agent.WholeEnvelope
			}
			proven, err := agent.WriteOrigin(export, scope,
				func(after int) (part agent.OriginPart, err error) {
					err = askAgent(cmd.Context(), dirOf(cmd), agent.PathOrigin,
						agent.OriginRequest{Message: args[0], After: after}, &part)
					return part, err
				})
			if err != nil {
				return err
			}
			made := reason.New("origin-made", "dir", export, "sender", proven.Message.Sender,
				"message", proven.Message.ID, "name", proven.Message.Name,
				"readme", filepath.Join(export, "README.md"))
			switch others := proven.Together - 1; {
			case others == 0:
			case proven.HasHead:
				made = reason.New("origin-shows-others", "made", made, "n", others)
			default:
				made = reason.New("origin-withholds-others", "made", made, "n", others)
			}
			return show(cmd, proven, func() error { return printerOf(cmd).line(made) })
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	cmd.Flags().StringVar(&export, "export", "", "the folder to make")
	cmd.Flags().BoolVar(&whole, "whole-envelope", false,
		"add the stated time of sending, and the names of all messages that came together")
	return cmd
}

func agentLogCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "log MESSAGE", Short: "Tell what is known of a message, sent or received",
		Args: wantArgs("MESSAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return showAgent(cmd, agent.PathLog, agent.MessageRequest{Message: args[0]}, printLog)
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	return cmd
}

func printLog(p *printer, l agent.Log) error {
	t := p.newTable(reason.New("columns-log"))
	if m := l.Sent; m != nil {
		t.add(m.Claimed, reason.New("log-claimed", "name", m.Name, "message", m.ID,
			"size", reason.Size(m.Size), "address", m.Address))
		if !m.Sealed.IsZero() {
			t.add(m.Sealed, reason.New("log-sealed", "sites", sitesOf(*m),
				"envelope", m.Envelope))
		}
		if !m.Published.IsZero() {
			t.add(m.Published, reason.New("log-published"))
		}
		for _, r := range m.Recipients {
			t.add(r.Time, reason.New("log-answer", "site", r.Site,
				"answer", answer{r.Outcome, r.Code, r.Verified, r.Doubt}.text(),
				"standing", l.Standings[r.Site].Reason()))
		}
		why := m.Reason
		if why.IsZero() && !m.HeldUntil.IsZero() {
			why = reason.New("held-until", "time", m.HeldUntil)
		}
		t.add(m.Finished, messageStands(*m, why))
		if !m.Removed.IsZero() {
			t.add(m.Removed, reason.New("log-removed"))
		}
	}
	for _, m := range l.Received {
		if !m.Placed {
			t.add(m.Sent, reason.New("log-placing", "sender", m.Sender, "name", m.Name,
				"message", m.ID))
			continue
		}
		t.add(m.Sent, reason.New("log-sent", "sender", m.Sender, "name", m.Name,
			"message", m.ID, "standing", l.Standings[m.Sender].Reason()))
		t.add(m.Received, reason.New("log-received", "size", reason.Size(m.Size), "path", m.Path))
	}
	return t.print(p.w, p.in(reason.New("nothing-known")))
}

// messageStands returns the state of a message, why, and the folder in which it lies.
func messageStands(m agent.SentMessage, why reason.Reason) reason.Reason {
	if m.Missing {
		return reason.New("message-gone", "state", m.Stands(), "why", why, "folder", m.Folder)
	}
	return reason.New("message-stands", "state", m.Stands(), "why", why, "folder", m.Folder)
}

// removedFor returns the reason for which the content of a message is no longer in its tray.
func removedFor(m agent.SentMessage) reason.Reason {
	if m.Removed.IsZero() {
		return reason.Reason{}
	}
	return reason.New("removed-for-age", "time", m.Removed)
}

func sitesOf(m agent.SentMessage) (sites []id.Site) {
	for _, r := range m.Recipients {
		sites = append(sites, r.Site)
	}
	return sites
}

func agentRecallCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "recall MESSAGE", Short: "Take back a message before the hub has all of it",
		Long: "Take back a message, by its message id or uid: while it waits for an approval,\n" +
			"for a centre to join, or for the tray's hold, and a file or folder of more than\n" +
			"1 MiB until all of it is uploaded. The hub deletes the parts that it has, and\n" +
			"gives out none of them. It goes to failed/, and nobody gets it.",
		Args: wantArgs("MESSAGE"), Example: "  sealpost agent recall FL-LAB_DAT_20251008_001",
		RunE: func(cmd *cobra.Command, args []string) error {
			return askDone(cmd, agent.PathRecall, agent.MessageRequest{Message: args[0]})
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	return cmd
}

func agentRetryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retry", Short: "Try at once whatever waits for another attempt",
		Long: "Try at once whatever waits for another attempt: the connection to the hub, files\n" +
			"to send, and files that this site has handed back to the hub. The agent also does\n" +
			"so when it starts, and when it sees that a trouble has ended.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return askDone(cmd, agent.PathRetry, agent.Nothing{})
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	return cmd
}

func agentResendCommand() *cobra.Command {
	var to string
	var twice bool
	cmd := &cobra.Command{
		Use: "resend MESSAGE --to SITE", Short: "Send what a finished message held to one site " +
			"again",
		Long: "Send what a delivered or failed message held to one site, as a new message under\n" +
			"a new message id. One that still waits for other sites can be sent again to a\n" +
			"site that does not get it. The file must still lie where sealpost left it. A\n" +
			"message that the admin of the hub has put back into the queue of that site is\n" +
			"refused, since it would arrive twice, unless --twice says that this is wanted.",
		Args: wantArgs("MESSAGE"), Example: "  sealpost agent resend FL-LAB_DAT_20251008_001 " +
			"--to SF-RC",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wantFlags(cmd, "to"); err != nil {
				return err
			}
			return askDone(cmd, agent.PathResend,
				agent.ResendRequest{Message: args[0], To: to, Twice: twice})
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	cmd.Flags().StringVar(&to, "to", "", "the site to send it to")
	cmd.Flags().BoolVar(&twice, "twice", false, "send it even if it is on its way there again")
	return completeFlag(cmd, "to", sitesKnown)
}
