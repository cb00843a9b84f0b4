package cli

import (
	"github.com/spf13/cobra"

	"sealpost/hub"
)

const hubHoldHelp = `Hold a site: the hub takes nothing new from it and gives it nothing new, until
sealpost hub release SITE. What the site sends waits there, what is for it waits
at the hub and does not expire. Deliveries that it has fetched go on to their
receipts. The site reads that it is held, since when, and the reason.`

func hubHoldCommand() *cobra.Command {
	var in hub.HoldRequest
	cmd := &cobra.Command{
		Use: "hold SITE", Short: "Take nothing from a site and give it nothing, for now",
		Long: hubHoldHelp, Args: wantArgs("SITE"),
		Example: "  sealpost hub hold CA-RC --because 'its disk is being replaced'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeHold(cmd, hub.ControlHold, in, args[0],
				"%s is held. sealpost hub release %[1]s ends that.\n",
				"%s is held already, for that reason.\n")
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	cmd.Flags().StringVar(&in.Because, "because", "", "a reason that the site reads")
	return cmd
}

func hubReleaseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "release SITE", Short: "End the hold of a site", Args: wantArgs("SITE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeHold(cmd, hub.ControlUnhold, hub.HoldRequest{}, args[0],
				"%s is not held any more.\n", "%s is not held.\n")
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	return cmd
}

// changeHold asks the hub, and prints one text if it has changed something, else the other.
func changeHold(cmd *cobra.Command, path string, in hub.HoldRequest, name, changed,
	same string) error {
	site, err := siteArg(name)
	if err != nil {
		return err
	}
	in.Site = site
	var out hub.Changed
	if err := askHub(cmd.Context(), dirOf(cmd), path, in, &out); err != nil {
		return err
	}
	return show(cmd, out, func() error {
		text := same
		if out.Changed {
			text = changed
		}
		_, err := printf(cmd.OutOrStdout(), text, site)
		return err
	})
}
