package cli

import "github.com/spf13/cobra"

func agentCommand() *cobra.Command {
	return &cobra.Command{Use: "agent", Short: "Join a network, and run and administrate the agent of a site", Args: noArgs, RunE: group}
}
