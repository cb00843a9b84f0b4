package cli

import (
	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

const agentDistrustHelp = `Seal nothing more for the present key of a site, and take
nothing from it: its computer or keys were stolen, or the fingerprints differed.
This holds whatever the hub or an earlier comparison says. The files of that
site wait at the hub, and it is told, as by a block. Its receipts are not
believed.

It ends when you trust another key of the site ('sealpost agent trust SITE'),
or when a roster gives it one. --undo trusts the keys again that this command
has distrusted, and asks before.`

func agentDistrustCommand() *cobra.Command {
	in := agent.DistrustRequest{}
	var sure bool
	cmd := &cobra.Command{
		Use: "distrust SITE", Short: "Seal nothing for the present key of a site, and take " +
			"nothing from it", Long: agentDistrustHelp, Args: wantArgs("SITE"),
		Example: "  sealpost agent distrust CA-RC --dir /srv/sealpost/FL-LAB",
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Site = args[0]
			if in.Undo && !sure {
				if err := askUndistrust(cmd, args[0]); err != nil {
					return err
				}
			}
			return askDone(cmd, agent.PathDistrust, in)
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	cmd.Flags().BoolVar(&in.Undo, "undo", false, "trust the keys of the site again that were "+
		"distrusted here")
	cmd.Flags().BoolVar(&sure, "yes", false, "with --undo: do not ask")
	return completeFirst(cmd, sitesKnown)
}

// askUndistrust shows the distrusted keys of a site, and asks whether to trust them again.
func askUndistrust(cmd *cobra.Command, name string) error {
	site, err := id.ParseSite(name)
	if err != nil {
		return err
	}
	var s agent.Status
	if err := askAgent(cmd.Context(), dirOf(cmd), agent.PathStatus, agent.StatusRequest{},
		&s); err != nil {
		return err
	}
	p := askingPrinter(cmd)
	shown := 0
	for _, k := range s.Distrusted {
		if k.Site == site {
			p.line(reason.New("undistrust-shown", "since", k.Since,
				"shown", k.Fingerprint()))
			shown++
		}
	}
	if shown == 0 {
		return nil // the agent says so
	}
	p.line(reason.New("undistrust-ask", "site", site, "yes", yesOrNo[true]))
	said, err := answersYes(cmd, p)
	if err == nil && !said {
		err = reason.Err("undistrust-not", "site", site)
	}
	return err
}

// askingPrinter returns the printer of a question. With --json the answer alone is on the output.
func askingPrinter(cmd *cobra.Command) *printer {
	p := printerOf(cmd)
	if wantsJSON(cmd) {
		p.w = cmd.ErrOrStderr()
	}
	return p
}
