package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"sealpost/hub"
)

func hubReloadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reload", Short: "Let the running hub read hub.toml again", Args: noArgs,
		Long: "Let the running hub read hub.toml again, without a restart. In effect at once\n" +
			"are hosts (the hub makes itself a certificate for them), log_level,\n" +
			"limits.memory, [quota] and [deliveries]; the command names changed keys that need\n" +
			"a restart.\n" +
			"If the file has a fault, nothing changes: sealpost hub check shows them all.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out hub.Reloaded
			if err := askHub(cmd.Context(), dirOf(cmd), hub.ControlReload, hub.Nothing{},
				&out); err != nil {
				return err
			}
			return show(cmd, out, func() error {
				w := cmd.OutOrStdout()
				if len(out.Changed)+len(out.Restart) == 0 {
					fmt.Fprintln(w, "Nothing has changed.")
				}
				if len(out.Changed) > 0 {
					printf(w, "In effect now: %s\n", strings.Join(out.Changed, " "))
				}
				if len(out.Restart) > 0 {
					printf(w, "In effect after a restart of the hub: %s\n",
						strings.Join(out.Restart, " "))
				}
				return nil
			})
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	return cmd
}
