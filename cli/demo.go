package cli

import (
	"os"

	"github.com/spf13/cobra"

	"sealpost/cli/demo"
)

const demoHelp = `Run the whole of sealpost on this machine: a hub, four labs and three research
centres, as separate processes on loopback, set up as by hand. Four files are
dropped, each step is shown as it happens, and a table tells who got what, when,
and whether each receipt was verified. Then the network stays up, for you to
drop files, until Ctrl-C.

With --destroy-hub the hub's process is killed and its whole folder deleted
while files wait there; a new hub is set up under the same root, the sites are
admitted again, and every file arrives all the same, none twice.

The folder is kept; the next demo in it goes on where this one ended.`

func demoCommand() *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use: "demo", Short: "Run a hub, four labs and three research centres on this machine",
		Long: demoHelp, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			program, err := os.Executable()
			if err != nil {
				return err
			}
			o.Program, o.Out, o.Err = program, cmd.OutOrStdout(), cmd.ErrOrStderr()
			return demo.Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, "dir", "sealpost-demo",
		"the demo's folder; new, empty, or of an earlier demo")
	f.BoolVar(&o.Once, "once", false, "leave when all nine deliveries are checked; exit code 0 "+
		"only if each is as it should be")
	f.BoolVar(&o.Destroy, "destroy-hub", false,
		"destroy the hub in mid-traffic, and go on with a new one")
	f.BoolVar(&o.JSON, "json", false, "print the table as JSON, for machines, and the steps to "+
		"standard error")
	return cmd
}
