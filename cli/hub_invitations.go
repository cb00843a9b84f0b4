package cli

import (
	"io"

	"github.com/spf13/cobra"

	"sealpost/hub"
)

func hubInvitationsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "invitations", Short: "List the invitations that can be used", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showHub(cmd, hub.ControlInvitations, hub.Nothing{}, printInvitations)
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	return cmd
}

func printInvitations(w io.Writer, out hub.InvitationsAnswer) error {
	t := newTable("SITE", "ROLE", "UNTIL", "ONLY FOR THE KEY")
	for _, i := range out.Invitations {
		t.add(i.Site, i.Role, i.Expires, i.Fingerprint)
	}
	return t.print(w, "No invitations are open.")
}

func hubRevokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke SITE", Short: "End the invitation of a site",
		Long: "End the invitation of a site. A site that has joined stays on the network; to\n" +
			"take it off, use: sealpost hub remove SITE",
		Args: wantArgs("SITE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			site, err := siteArg(args[0])
			if err != nil {
				return err
			}
			var out hub.Changed
			if err := askHub(cmd.Context(), dirOf(cmd), hub.ControlRevoke,
				hub.RevokeRequest{Site: site},
				&out); err != nil {
				return err
			}
			return show(cmd, out, func() error {
				_, err := printf(cmd.OutOrStdout(), map[bool]string{
					true:  "The invitation of %s is revoked: its file is worthless now.\n",
					false: "%s has no invitation.\n",
				}[out.Changed], site)
				return err
			})
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	return cmd
}
