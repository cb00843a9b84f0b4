package cli

import (
	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

func agentSitesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "sites", Short: "List to whom this site sends, what is approved, and each site's " +
			"fingerprint", Args: noArgs,
		Long: "List to whom this site sends, what is approved, and each site's fingerprint.\n" +
			"Compare a fingerprint by voice, with users whom you know there, before you\n" +
			"approve the site: `sealpost agent status` and `sealpost certs` show it at the\n" +
			"site itself.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s agent.Status
			if err := askAgent(cmd.Context(), dirOf(cmd), agent.PathStatus, agent.StatusRequest{},
				&s); err != nil {
				return err
			}
			return show(cmd, routesReport{s.Routes, s.Blocked, s.Distrusted}, func() error {
				return printRoutes(printerOf(cmd), s)
			})
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	return cmd
}

// routesReport is the JSON of the command.
type routesReport struct {
	Routes  []agent.Route `json:"routes"`
	Blocked []id.Site     `json:"blocked,omitempty"` // nothing is taken from them
	// nothing is sealed for them, and nothing taken from them
	Distrusted []agent.DistrustedKey `json:"distrusted,omitempty"`
}

func agentBlockCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "block SITE", Short: "Take nothing more from a site",
		Long: "Take nothing more from a site. Its files wait at the hub, and the site is told.\n" +
			"`sealpost agent sites` lists the blocked sites.",
		Args: wantArgs("SITE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return askDone(cmd, agent.PathBlock, agent.BlockRequest{Site: args[0]})
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	return completeFirst(cmd, sitesKnown)
}

func agentUnblockCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "unblock SITE", Short: "Take files from a blocked site again",
		Long: "Take files from a blocked site again. Those that wait at the hub come at once.",
		Args: wantArgs("SITE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return askDone(cmd, agent.PathUnblock, agent.BlockRequest{Site: args[0]})
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	return completeFirst(cmd, sitesKnown)
}

func printRoutes(p *printer, s agent.Status) error {
	t := p.newTable(reason.New("columns-routes"))
	for _, r := range s.Routes {
		if r.First {
			t.add(r.Address, reason.New("first-proposal"), yesOrNo[true], "", "", "")
		}
		for _, site := range r.Sites {
			t.add(r.Address, site.Site, yesOrNo[site.Approved], yesOrNo[site.Proposed],
				standing(site.Standing), fingerprint(site.Fingerprint), site.Words)
		}
	}
	if err := t.print(p.w, p.in(reason.New("no-routes"))); err != nil {
		return err
	}
	if err := printDistrusted(p, s); err != nil || len(s.Blocked) == 0 {
		return err
	}
	return p.item(reason.New("blocked-senders", "sites", s.Blocked))
}

// printDistrusted writes the keys that the admin distrusts.
func printDistrusted(p *printer, s agent.Status) error {
	for _, k := range s.Distrusted {
		if err := p.item(reason.New("distrusted-site", "site", k.Site,
			"fingerprint", fingerprint(k.Identity), "since", k.Since)); err != nil {
			return err
		}
	}
	return nil
}

// standing returns the standing of a site in a table.
func standing(s agent.SiteStanding) reason.Reason {
	if s.Ground == "" {
		return yesOrNo[false]
	}
	return s.Reason()
}

var yesOrNo = map[bool]reason.Reason{true: reason.New("yes"), false: reason.New("no")}

// printApprovals writes for each route the sites to which it may lead.
func printApprovals(p *printer, s agent.Status) error {
	if len(s.Routes) > 0 {
		p.head(reason.New("status-approvals"))
	}
	for _, r := range s.Routes {
		if err := p.item(approvedSites(r)); err != nil {
			return err
		}
	}
	return nil
}

// approvedSites returns the sites to which a route may lead, and those to which it leads without
// approval.
func approvedSites(r agent.Route) reason.Reason {
	var approved, open []id.Site
	for _, site := range r.Sites {
		if site.Approved {
			approved = append(approved, site.Site)
		} else {
			open = append(open, site.Site)
		}
	}
	switch {
	case r.First:
		return reason.New("route-first", "route", r.Address, "open", open)
	case len(approved) == 0:
		return reason.New("route-unapproved", "route", r.Address, "open", open)
	}
	return reason.New("route-approved", "route", r.Address, "approved", approved, "open", open)
}
