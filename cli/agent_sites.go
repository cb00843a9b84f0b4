package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/words"
)

func agentSitesCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "sites", Short: "List to whom this site sends, what is approved, and each site's fingerprint", Args: noArgs,
		Long: "List to whom this site sends, what is approved, and each site's fingerprint. Compare a fingerprint by voice, with users\n" +
			"whom you know there, before you approve the site: `sealpost agent status` and `sealpost certs` show it at the site itself.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s agent.Status
			if err := askAgent(cmd.Context(), dir, agent.PathStatus, agent.StatusRequest{}, &s); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s.Routes)
			}
			return printRoutes(cmd.OutOrStdout(), s)
		},
	}
	dirFlag(cmd, &dir, "agent")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printRoutes(w io.Writer, s agent.Status) error {
	t := newTable("ROUTE", "SITE", "APPROVED", "PROPOSED", "PINNED", "FINGERPRINT")
	for _, r := range s.Routes {
		if r.First {
			t.add(r.Address, words.FirstProposal, "yes", "", "", "")
		}
		for _, site := range r.Sites {
			t.add(r.Address, site.Site, yes(site.Approved), yes(site.Proposed), yes(site.Pinned), fingerprint(site.Fingerprint))
		}
	}
	return t.print(w, words.NoRoutes)
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// printApprovals says in one line for each route to whom it may lead.
func printApprovals(w io.Writer, s agent.Status) error {
	for i, r := range s.Routes {
		if i == 0 {
			fmt.Fprintln(w, "\nApprovals:")
		}
		var approved, open []string
		for _, site := range r.Sites {
			if site.Approved {
				approved = append(approved, string(site.Site))
			} else {
				open = append(open, string(site.Site))
			}
		}
		if _, err := fmt.Fprintf(w, "  %s\n", words.ApprovedAre(r.Address, approved, open, r.First)); err != nil {
			return err
		}
	}
	return nil
}
