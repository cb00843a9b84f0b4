package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/certs"
	"sealpost/config"
)

func agentCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "agent", Short: "Join a network, and run and administrate the agent of a site", Args: noArgs, RunE: group}
	cmd.AddCommand(agentJoinCommand(), agentRunCommand(), agentStatusCommand(), agentApproveCommand(), agentTrustCommand(),
		agentReceiptsCommand(), agentLogCommand())
	return cmd
}

const agentJoinHelp = `Join a network with the invitation that headquarters gave to this site: make the site's folder and keys, get a certificate,
and write agent.toml. The hub must be reachable. Repeated, it keeps keys, ledger and settings, and gets a new certificate.

A site that sends decides itself to whom: --approve names the sites to which its route may lead, or "route" for those that
the hub proposes first. Without it files wait, and agent status says for which approval.`

func agentJoinCommand() *cobra.Command {
	var o agent.JoinOptions
	var logFormat string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "join SITE.join", Short: "Join a network with an invitation", Long: agentJoinHelp, Args: wantArgs("SITE.join"),
		Example: "  sealpost agent join FL-LAB.join --dir /srv/sealpost/FL-LAB --kind DAT --route fl-lab.dat --approve CA-RC,SF-RC",
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.Invitation, err = certs.ReadInvitation(args[0]); err != nil {
				return err
			}
			if o.Log, err = newLog(cmd.ErrOrStderr(), logFormat, "warn"); err != nil {
				return err
			}
			o.Version = versionInfo().Version
			joined, err := agent.Join(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), joined)
			}
			return printJoined(cmd, joined, o)
		},
	}
	dirFlag(cmd, &o.Dir, "agent; made when it is not there")
	jsonFlag(cmd, &asJSON)
	logFlag(cmd, &logFormat)
	f := cmd.Flags()
	f.StringVar(&o.Kind, "kind", "", "the kind of what is sent, part of every message id: 1 to 8 of A-Z and 0-9 (default DAT)")
	f.StringVar(&o.Route, "route", "", "the routing key under which this site sends (default SITE.KIND in lower case: fl-lab.dat)")
	f.StringSliceVar(&o.Approve, "approve", nil, `the sites to which the route may lead, such as CA-RC,SF-RC; or "route"`)
	f.Int64Var(&o.FirstNumber, "first-number", 0, "the number of the first message of each day (default 1)")
	return cmd
}

func agentRunCommand() *cobra.Command {
	var dir, logFormat string
	cmd := &cobra.Command{
		Use: "run", Short: "Run the agent until it is interrupted", Args: noArgs,
		Long: "Run the agent until it is interrupted or asked to terminate; then it hands back what is under way.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadAgent(dir)
			if err != nil {
				return err
			}
			log, err := newLog(cmd.ErrOrStderr(), logFormat, cfg.LogLevel)
			if err != nil {
				return err
			}
			a, err := agent.New(agent.Options{Config: cfg, Version: versionInfo().Version, Log: log})
			if err != nil {
				return err
			}
			return a.Run(cmd.Context())
		},
	}
	dirFlag(cmd, &dir, "agent")
	logFlag(cmd, &logFormat)
	return cmd
}

func agentApproveCommand() *cobra.Command {
	var in agent.ApproveRequest
	var dir string
	cmd := &cobra.Command{
		Use: "approve SITE…|route", Short: "Decide to which sites a route may lead",
		Long: "Decide to which sites a route may lead. Files are sent to exactly these, or to nobody: when the hub proposes more or fewer,\n" +
			"they wait. \"route\" approves those that the hub proposes next, once.",
		Args: wantArgs("SITE…"), Example: "  sealpost agent approve CA-RC SF-RC --dir /srv/sealpost/FL-LAB",
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				in.Sites = append(in.Sites, strings.Split(arg, ",")...)
			}
			return askDone(cmd, dir, agent.PathApprove, in)
		},
	}
	dirFlag(cmd, &dir, "agent")
	cmd.Flags().StringVar(&in.Route, "route", "", "the routing key (default the tray's own)")
	return cmd
}

func agentTrustCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "trust SITE FINGERPRINT", Short: "Believe a site under a new fingerprint, after comparing it by voice",
		Long: "Believe a site under a new fingerprint. Call somebody at the site whom you know, and compare the fingerprint with the one\n" +
			"that `sealpost agent status` or `sealpost certs` shows there: what changed may be their computer, or somebody in between.",
		Args: wantArgs("SITE", "FINGERPRINT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := agent.TrustRequest{Site: args[0], Fingerprint: strings.ReplaceAll(args[1], " ", "")}
			return askDone(cmd, dir, agent.PathTrust, in)
		},
	}
	dirFlag(cmd, &dir, "agent")
	return cmd
}

// askDone sends a request whose answer is a sentence.
func askDone(cmd *cobra.Command, dir, path string, in any) error {
	var out agent.Done
	if err := askAgent(cmd.Context(), dir, path, in, &out); err != nil {
		return err
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), out.Says)
	return err
}

func printJoined(cmd *cobra.Command, j agent.Joined, o agent.JoinOptions) error {
	w := cmd.OutOrStdout()
	if j.Again {
		fmt.Fprintf(w, "%s had joined already; its keys and settings stay, its certificate is new.\n", j.Site)
	} else {
		fmt.Fprintf(w, "%s has joined (%s) in %s.\n", j.Site, j.Role, j.Dir)
	}
	fmt.Fprintf(w, "Fingerprint:  %s\n", fingerprint(j.Fingerprint))
	fmt.Fprintf(w, "Network:      %s\n", fingerprint(j.Network))
	fmt.Fprintf(w, "Certificate:  until %s; renewed by itself\n", localTime(j.Expires))
	if j.Clock != "" {
		fmt.Fprintf(w, "Warning:      %s\n", j.Clock)
	}
	if j.Role != config.RoleReceive && len(o.Approve) == 0 {
		fmt.Fprintf(w, "Files wait until you decide to whom they go: sealpost agent approve SITE… --dir %s\n", j.Dir)
	}
	_, err := fmt.Fprintf(w, "\nNext: sealpost agent run --dir %s       then delete the invitation\n", j.Dir)
	return err
}
