package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/visible"
)

// completionTime is the longest wait for the daemon after the tab key.
const completionTime = time.Second

// lister returns completions from the status of the running agent.
type lister func(agent.Status) []string

// complete asks the agent of the command's folder. One that does not answer has nothing to offer.
func (list lister) complete(cmd *cobra.Command) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(context.Background(), completionTime)
	defer cancel()
	var s agent.Status
	if err := askAgent(ctx, dirOf(cmd), agent.PathStatus,
		agent.StatusRequest{Latest: 100}, &s); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return list(s), cobra.ShellCompDirectiveNoFileComp
}

// completeEach lets a shell complete each argument of a command.
func completeEach(cmd *cobra.Command, list lister) *cobra.Command {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, _ []string,
		_ string) ([]string, cobra.ShellCompDirective) {
		return list.complete(cmd)
	}
	return cmd
}

// completeFirst lets a shell complete the first argument of a command.
func completeFirst(cmd *cobra.Command, list lister) *cobra.Command {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string,
		_ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return list.complete(cmd)
	}
	return cmd
}

// completeFlag lets a shell complete the value of a flag.
func completeFlag(cmd *cobra.Command, flag string, list lister) *cobra.Command {
	err := cmd.RegisterFlagCompletionFunc(flag,
		func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return list.complete(cmd)
		})
	if err != nil {
		panic(err) // the flag is defined beside the call
	}
	return cmd
}

// bashAlone replaces the package bash-completion in the script for bash, where a small system lacks
// it. The words are then those that bash itself has found.
const bashAlone = `
if ! declare -F _get_comp_words_by_ref >/dev/null; then
    __sealpost_init_completion()
    {
        COMPREPLY=()
        words=("${COMP_WORDS[@]}")
        cword=$COMP_CWORD
        cur=${COMP_WORDS[COMP_CWORD]}
        prev=${COMP_WORDS[COMP_CWORD-1]}
    }
fi
`

// completeAlone adds bashAlone to the output of `sealpost completion bash`.
func completeAlone(root *cobra.Command) {
	bash, _, err := root.Find([]string{"completion", "bash"})
	if err != nil {
		panic(err) // it was made one line before the call
	}
	script := bash.RunE
	bash.RunE = func(cmd *cobra.Command, args []string) error {
		if err := script(cmd, args); err != nil {
			return err
		}
		_, err := fmt.Fprint(cmd.OutOrStdout(), bashAlone)
		return err
	}
}

// withMessages completes message ids.
func withMessages(cmd *cobra.Command) *cobra.Command {
	return completeFirst(cmd, messagesOf)
}

// messagesOf returns the latest messages: their ids, and the names beside them.
func messagesOf(s agent.Status) (ids []string) {
	if s.Outbox != nil {
		for _, m := range s.Outbox.Latest {
			ids = append(ids, string(m.ID)+"\t"+visible.Text(m.Name))
		}
	}
	if s.Inbox != nil {
		for _, m := range s.Inbox.Latest {
			ids = append(ids, string(m.ID)+"\t"+visible.Text(m.Path))
		}
	}
	return ids
}

// sitesKnown returns the names of known sites.
func sitesKnown(s agent.Status) (sites []string) {
	for _, p := range s.Pins {
		sites = append(sites, string(p.Site))
	}
	for _, r := range s.Routes {
		for _, site := range r.Sites {
			sites = append(sites, string(site.Site))
		}
	}
	slices.Sort(sites)
	return slices.Compact(sites)
}

// addresses returns the possible addresses of a file: the routing keys of trays, and known sites.
func addresses(s agent.Status) (list []string) {
	list = routesOf(s)
	for _, site := range sitesKnown(s) {
		list = append(list, "@"+site)
	}
	return list
}

// routesOf returns the routing keys of the trays.
func routesOf(s agent.Status) (routes []string) {
	if s.Outbox != nil {
		for _, t := range s.Outbox.Trays {
			routes = append(routes, sprintf("%s\tthe tray %s", t.Route, t.Name))
		}
	}
	return routes
}

// traysOf returns the names of the trays.
func traysOf(s agent.Status) (names []string) {
	if s.Outbox != nil {
		for _, t := range s.Outbox.Trays {
			names = append(names, sprintf("%s\t%s", t.Name, t.Route))
		}
	}
	return names
}
