package cli

import (
	"github.com/spf13/cobra"

	"sealpost/agent"
)

func agentRecallCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "recall MESSAGE", Short: "Take back a message before anything of it is sent",
		Long: "Take back a message, by its message id or uid, as long as nothing of it was\n" +
			"sent: while it waits for an approval, for a centre to join, or for the tray's\n" +
			"hold. It goes to failed/, and nobody gets it.",
		Args: wantArgs("MESSAGE"), Example: "  sealpost agent recall FL-LAB_DAT_20251008_001",
		RunE: func(cmd *cobra.Command, args []string) error {
			return askDone(cmd, agent.PathRecall, agent.MessageRequest{Message: args[0]})
		},
	}
	dirFlag(cmd, "agent")
	return cmd
}

func agentResendCommand() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "resend MESSAGE --to SITE", Short: "Send what a finished message held to one site " +
			"again",
		Long: "Send what a delivered or failed message held to one site, as a new message under\n" +
			"a new message id. The file must still lie where sealpost left it.",
		Args: wantArgs("MESSAGE"), Example: "  sealpost agent resend FL-LAB_DAT_20251008_001 " +
			"--to SF-RC",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wantFlags(cmd, "to"); err != nil {
				return err
			}
			return askDone(cmd, agent.PathResend,
				agent.ResendRequest{Message: args[0], To: to})
		},
	}
	dirFlag(cmd, "agent")
	cmd.Flags().StringVar(&to, "to", "", "the site to send it to")
	return completeFlag(cmd, "to", sitesKnown)
}
