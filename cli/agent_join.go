package cli

import (
	"math"
	"slices"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/certs"
	"sealpost/config"
	"sealpost/internal/reason"
)

const agentJoinHelp = `Join a network with the invitation that headquarters gave to this site: make
the site's folder and keys, get a certificate, and write agent.toml. The hub
must be reachable. Repeated, it keeps keys, ledger and settings, and gets a new
certificate.

A site that sends decides itself to whom: --approve names the sites to which its
route may lead, or "route" for those that the hub proposes first. Without it
files wait, and agent status says for which approval.`

func agentJoinCommand() *cobra.Command {
	var o agent.JoinOptions
	first := 1
	var logFormat string
	cmd := &cobra.Command{
		Use: "join SITE.join", Short: "Join a network with an invitation", Long: agentJoinHelp,
		Args: wantArgs("SITE.join"),
		Example: "  sealpost agent join FL-LAB.join --dir /srv/sealpost/FL-LAB --kind DAT " +
			"--route fl-lab.dat --approve CA-RC,SF-RC",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Dir = dirOf(cmd)
			var err error
			if o.Invitation, err = certs.ReadInvitation(args[0]); err != nil {
				return err
			}
			if certs.IsAdminRole(o.Invitation.Role) {
				return reason.Err("invitation-of-admin", "file", args[0])
			}
			if o.Log, err = newLog(cmd.ErrOrStderr(), logFormat, "warn"); err != nil {
				return err
			}
			if _, err := makeAsOwner(cmd, o.Dir); err != nil {
				return err
			}
			o.Version = versionInfo().Version
			if cmd.Flag("first-number").Changed {
				o.FirstNumber = int64(first)
			}
			joined, err := agent.Join(cmd.Context(), o)
			if err != nil {
				return asUsage(err)
			}
			return show(cmd, joined, func() error { return printJoined(cmd, joined, o) })
		},
	}
	dirFlag(cmd, "agent; made when it is not there")
	jsonFlag(cmd)
	logFlag(cmd, &logFormat)
	f := cmd.Flags()
	f.StringVar(&o.Kind, "kind", "", "the kind of what is sent, part of every message id: 1 to "+
		"8 of A-Z and 0-9 (default DAT)")
	f.StringVar(&o.Route, "route", "", "the routing key under which this site sends (default "+
		"SITE.KIND in lower case: fl-lab.dat)")
	f.StringSliceVar(&o.Approve, "approve", nil,
		`the sites to which the route may lead, such as CA-RC,SF-RC; or "route"`)
	f.BoolVar(&o.SmallHello, "small-hello", false, "set small_hello in agent.toml, for a firewall "+
		"that drops the large first message of TLS")
	countFlag(cmd, count{&first, 1, math.MaxInt32}, "first-number",
		"the number of the first message of each day")
	return cmd
}

func printJoined(cmd *cobra.Command, j agent.Joined, o agent.JoinOptions) error {
	p := printerOf(cmd)
	switch {
	case j.RoleBefore != "":
		p.line(reason.New("joined-again-role", "site", j.Site, "role", j.Role, "before",
			j.RoleBefore))
	case j.Again:
		p.line(reason.New("joined-again", "site", j.Site))
	default:
		p.line(reason.New("joined", "site", j.Site, "role", j.Role, "dir", j.Dir))
	}
	p.labelled(p.in(reason.New("label-fingerprint")), reason.Text(fingerprint(j.Fingerprint)))
	p.labelled("", reason.Text(j.Words))
	p.labelled(p.in(reason.New("label-network")), reason.Text(fingerprint(j.Network)))
	p.labelled(p.in(reason.New("label-certificate")),
		reason.New("renewed-by-itself", "until", j.Expires))
	warnings := j.Warnings
	if !j.Clock.IsZero() {
		warnings = slices.Insert(warnings, 0, j.Clock)
	}
	for _, warning := range warnings {
		p.labelled(p.in(reason.New("label-warning")), warning)
	}
	if j.Role != config.RoleReceive && len(o.Approve) == 0 {
		p.line(reason.New("approve-next", "dir", j.Dir))
	}
	p.head(reason.New("run-next", "dir", j.Dir))
	return nil
}
