package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/service"
)

func agentCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "agent", Short: "Join a network, and run and administrate the agent of a site",
		Args: noArgs, RunE: group}
	cmd.AddCommand(agentJoinCommand(), agentRunCommand(), agentStatusCommand(),
		agentApproveCommand(), agentSitesCommand(), agentTrustCommand(),
		agentBlockCommand(), agentUnblockCommand(), agentDistrustCommand(),
		agentRosterCommand(), agentRotateCommand(),
		withMessages(agentReceiptsCommand()), withMessages(agentProofCommand()),
		withMessages(agentLogCommand()), agentFindCommand(),
		agentDoctorCommand(), agentNewKeyCommand(), withMessages(agentRecallCommand()),
		withMessages(agentResendCommand()), agentRetryCommand(),
		profileCommand("agent", callAgent))
	cmd.AddCommand(serviceCommands(service.Agent)...)
	return cmd
}

func agentApproveCommand() *cobra.Command {
	var in agent.ApproveRequest
	var add, replace bool
	cmd := &cobra.Command{
		Use: "approve SITE…|route", Short: "Decide to which sites a route may lead",
		Long: "Decide to which sites a route may lead. Files are sent to exactly these, or to\n" +
			"nobody: when the hub proposes more or fewer, they wait. \"route\" approves those\n" +
			"that the hub proposes next, once. `sealpost agent sites` shows what is approved,\n" +
			"and the fingerprints to compare by voice before.\n\n" +
			"Where a site that is approved would be left out nothing is changed: --add keeps\n" +
			"it, --replace does not. A name that is no site which receives is refused, unless\n" +
			"it is approved --in-advance.",
		Args: wantArgs("SITE…"), Example: "  sealpost agent approve CA-RC SF-RC --dir " +
			"/srv/sealpost/FL-LAB\n  sealpost agent approve NY-RC --add",
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				in.Sites = append(in.Sites, strings.Split(arg, ",")...)
			}
			switch {
			case add && replace:
				return &usageError{agent.ErrAddOrReplace}
			case add:
				in.Change = agent.ApproveAdd
			case replace:
				in.Change = agent.ApproveReplace
			}
			return askDone(cmd, agent.PathApprove, in)
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	cmd.Flags().StringVar(&in.Route, "route", "",
		"the routing key (default the only one of the trays)")
	cmd.Flags().BoolVar(&add, "add", false, "approve these besides those that are approved")
	cmd.Flags().BoolVar(&replace, "replace", false,
		"approve exactly these, and no more those that are not named")
	cmd.Flags().BoolVar(&in.InAdvance, "in-advance", false,
		"approve names of sites that headquarters has not invited yet, and a route that no "+
			"tray has yet")
	return completeFlag(completeEach(cmd, sitesKnown), "route", routesOf)
}

// askDone sends a request whose answer is a Done, and prints it.
func askDone(cmd *cobra.Command, path string, in any) error {
	var out agent.Done
	if err := askAgent(cmd.Context(), dirOf(cmd), path, in, &out); err != nil {
		return err
	}
	return showDone(cmd, out)
}

// showDone prints the result of a command.
func showDone(cmd *cobra.Command, done agent.Done) error {
	return show(cmd, done, func() error {
		p := printerOf(cmd)
		for _, r := range done.Says {
			if err := p.line(r); err != nil {
				return err
			}
		}
		return nil
	})
}
