package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"sealpost/hub"
)

func hubBindCommand(verb, path string) *cobra.Command {
	var dir string
	short := map[string]string{"bind": "Direct routing keys to a queue",
		"unbind": "Stop directing routing keys to a queue"}[verb]
	cmd := &cobra.Command{
		Use: verb + " QUEUE KEY…", Short: short,
		Long: short + ".\n\n" +
			"A KEY is a routing key such as fl-lab.dat, in which * stands for one word\n" +
			"and # for any number of words. Quote them, so that the shell leaves them alone.\n" +
			"Senders hear of the change, and approve it before they send to more or fewer\nsites.",
		Args: wantArgs("QUEUE", "KEY…"), Example: "  sealpost hub " + verb +
			" ca_rc_queue 'fl-lab.*' 'pa-lab.*'",
		RunE: func(cmd *cobra.Command, args []string) error {
			var out hub.Bound
			if err := askHub(cmd.Context(), dir, path,
				hub.BindRequest{Queue: args[0], Keys: args[1:]}, &out); err != nil {
				return err
			}
			bindings := strings.Join(out.Bindings, " ")
			if bindings == "" {
				bindings = "nothing but what is addressed to it directly"
			}
			return say(cmd.OutOrStdout(), out.Changed, "%s now receives: %s",
				"Nothing to change: %s receives: %s", args[0], bindings)
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
			if err := askHub(cmd.Context(), dir, hub.ControlQueues, hub.Nothing{},
				&out); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), out)
			}
			t := newTable("QUEUE", "SITE", "WAITING", "LEASED", "RELEASED", "SETTLED", "DEAD",
				"OLDEST", "BINDINGS")
			for _, q := range out.Queues {
				t.add(q.Name, q.Site, q.Waiting, q.Leased, q.Released, q.Settled, q.Dead, q.Oldest,
					q.Bindings)
			}
			return t.print(cmd.OutOrStdout(),
				"No queues yet. Inviting a site that receives makes its queue.")
		},
	}
	dirFlag(cmd, &dir, "hub")
	jsonFlag(cmd, &asJSON)
	return cmd
}
