package cli

import (
	"cmp"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"sealpost/hub"
)

func hubBindCommand(verb, path string) *cobra.Command {
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
			if err := askHub(cmd.Context(), dirOf(cmd), path,
				hub.BindRequest{Queue: args[0], Keys: args[1:]}, &out); err != nil {
				return err
			}
			return show(cmd, out, func() error {
				_, err := printf(cmd.OutOrStdout(), map[bool]string{
					true: "%s now receives: %s\n", false: "Nothing to change: %s receives: %s\n",
				}[out.Changed], args[0], cmp.Or(strings.Join(out.Bindings, " "),
					"nothing but what is addressed to it directly"))
				return err
			})
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	return cmd
}

func hubQueuesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "queues", Short: "List the queues with their figures", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showHub(cmd, hub.ControlQueues, hub.Nothing{}, printQueues)
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	return cmd
}

func printQueues(w io.Writer, out hub.QueuesAnswer) error {
	t := newTable("QUEUE", "SITE", "WAITING", "LEASED", "RELEASED", "SETTLED", "DEAD",
		"OLDEST", "BINDINGS")
	for _, q := range out.Queues {
		t.add(q.Name, q.Site, q.Waiting, q.Leased, q.Released, q.Settled, q.Dead, q.Oldest,
			q.Bindings)
	}
	return t.print(w,
		"No queues yet. Inviting a site that receives makes its queue.")
}
