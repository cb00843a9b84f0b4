package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"sealpost/agent"
)

// completionTime is how long a person who pressed the tab key waits for the daemon.
const completionTime = time.Second

// completeFrom lets a shell complete a command's first argument with what list takes from the running agent's status.
func completeFrom(cmd *cobra.Command, list func(agent.Status) []string) *cobra.Command {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), completionTime)
		defer cancel()
		var s agent.Status
		if err := askAgent(ctx, cmd.Flag("dir").Value.String(), agent.PathStatus, agent.StatusRequest{Latest: 100}, &s); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return list(s), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// withMessages completes message ids.
func withMessages(cmd *cobra.Command) *cobra.Command {
	return completeFrom(cmd, func(s agent.Status) (ids []string) {
		if s.Outbox != nil {
			for _, m := range s.Outbox.Latest {
				ids = append(ids, string(m.ID)+"\t"+m.Name)
			}
		}
		if s.Inbox != nil {
			for _, m := range s.Inbox.Latest {
				ids = append(ids, string(m.ID)+"\t"+m.Path)
			}
		}
		return ids
	})
}

// withSites completes the names of known sites.
func withSites(cmd *cobra.Command) *cobra.Command {
	return completeFrom(cmd, func(s agent.Status) (sites []string) {
		for _, p := range s.Pins {
			sites = append(sites, string(p.Site))
		}
		return sites
	})
}
