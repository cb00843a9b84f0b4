package cli

import (
	"io"

	"github.com/spf13/cobra"

	"sealpost/certs"
	"sealpost/hub"
)

const hubConsoleHelp = `Print a link to the hub's console: pages that show the
network and act on it, in a browser on this computer. The link works once,
within five minutes. Whoever opens it has the rights of the role, so do not pass
it on. The session ends after half an hour without use, and after twelve hours.

The first link since the hub's start opens the address in [console] of
hub.toml, which only this computer reaches. From another one, choose a port
there, forward it with ssh -L 7445:127.0.0.1:7445 and open the link there.`

func hubConsoleCommand() *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use: "console", Short: "Print a link to the hub's pages",
		Long: hubConsoleHelp, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showHub(cmd, hub.ControlConsole, hub.ConsoleRequest{Role: role},
				func(w io.Writer, l hub.ConsoleLink) error {
					_, err := printf(w, "%s\nIt works once, until %s, with the rights of the role "+
						"%s.\n", l.URL, localTime(l.Expires), l.Role)
					return err
				})
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	cmd.Flags().StringVar(&role, "role", certs.RoleAdmin, "the rights of the session: admin, "+
		"operator or viewer")
	return cmd
}
