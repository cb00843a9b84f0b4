package cli

import (
	"io"

	"github.com/spf13/cobra"

	"sealpost/certs"
	"sealpost/hub"
	"sealpost/hub/remote"
	"sealpost/internal/id"
)

const hubJoinHelp = `Join as an administrator, with an invitation that the hub has made with
sealpost hub invite NAME --role admin|operator|viewer. It makes a folder with a
key and a certificate of this computer. With that folder as --dir, the commands
that ask the hub work from here, for example: sealpost hub sites --dir DIR

Repeated, it keeps the key. The certificate is renewed by itself while the
commands are used; after 90 days without one, ask for a new invitation.`

func hubJoinCommand() *cobra.Command {
	var logFormat string
	cmd := &cobra.Command{
		Use: "join NAME.join --dir DIR", Short: "Administrate a hub from this computer",
		Long: hubJoinHelp, Args: wantArgs("NAME.join"),
		Example: "  sealpost hub join ANNA.join --dir ~/DC-HQ\n" +
			"  sealpost hub status --dir ~/DC-HQ",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flag("dir").Changed {
				return usagef("%s wants --dir: the folder to make", cmd.CommandPath())
			}
			inv, err := certs.ReadInvitation(args[0])
			if err != nil {
				return err
			}
			log, err := newLog(cmd.ErrOrStderr(), logFormat, "warn")
			if err != nil {
				return err
			}
			joined, err := remote.Join(cmd.Context(), absolute(dirOf(cmd)), inv, log,
				remote.Options{Version: versionInfo().Version})
			if err != nil {
				return err
			}
			return show(cmd, joined, func() error {
				return printJoinedAdmin(cmd.OutOrStdout(), joined)
			})
		},
	}
	dirFlag(cmd, "administrator; made when it is not there")
	jsonFlag(cmd)
	logFlag(cmd, &logFormat)
	return cmd
}

func printJoinedAdmin(w io.Writer, j remote.Joined) error {
	printf(w, "%s administrates the hub from this computer (%s), in %s.\n", j.Name, j.Role, j.Dir)
	printf(w, "Fingerprint:  %s\n", fingerprint(j.Fingerprint))
	printf(w, "Network:      %s\n", fingerprint(j.Network))
	printf(w, "Certificate:  until %s; renewed by itself\n", localTime(j.Expires))
	_, err := printf(w, "Next: sealpost hub status --dir %s       then delete the invitation\n",
		j.Dir)
	return err
}

func hubAdminsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "admins", Short: "List the administrators on other computers", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showHub(cmd, hub.ControlAdmins, hub.Nothing{}, printAdmins)
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	return cmd
}

func printAdmins(w io.Writer, out hub.AdminsAnswer) error {
	t := newTable("NAME", "STATE", "ROLE", "LAST SEEN", "VERSION", "CONNECTIONS", "FINGERPRINT")
	for _, a := range out.Admins {
		t.add(a.Name, a.State, a.Role, a.LastSeen, a.Version, a.Connections, a.Fingerprint)
	}
	return t.print(w, "No administrators on other computers. Invite one with: sealpost hub "+
		"invite NAME --role admin|operator|viewer --out NAME.join")
}

// removeAdmin takes the rights of an admin on another computer.
func removeAdmin(cmd *cobra.Command, name id.Site) error {
	var out hub.Removed
	if err := askHub(cmd.Context(), dirOf(cmd), hub.ControlRemoveAdmin,
		hub.RemoveAdminRequest{Name: name}, &out); err != nil {
		return err
	}
	return show(cmd, out, func() error {
		_, err := printf(cmd.OutOrStdout(), "%s is no administrator any more; %s cut.\n", name,
			counted(out.Connections, "connection", "connections"))
		return err
	})
}
