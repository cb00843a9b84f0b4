package cli

import (
	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/reason"
)

func agentNewKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "new-key", Short: "Make another recipient key for a site that has lost its own",
		Args: noArgs,
		Long: "Make another recipient key for a site that has lost its own,\n" +
			"state/recipient.key, and has no backup of it. The agent must not run. What was\n" +
			"sealed for the lost key cannot be opened by anybody: it is refused here, and its\n" +
			"senders see that and send it again. Other sites follow to the new key by\n" +
			"themselves. Run it under the agent's account.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir := dirOf(cmd)
			if err := workAsOwner(cmd, dir); err != nil {
				return err
			}
			cfg, err := loadAgent(dir)
			if err != nil {
				return err
			}
			done, err := agent.NewKey(cfg)
			if err != nil {
				return err
			}
			return showDone(cmd, agent.Done{Says: []reason.Reason{done}})
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	return cmd
}
