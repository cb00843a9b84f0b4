package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sealpost/hub"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
)

const hubExportHelp = `Write the sites with their fingerprints and roles, the queues with their
bindings, and the number of the roster, into a file that is signed by the hub. If
the hub is lost, a new one takes its place with this file and the root:

  sealpost hub init --restore FILE --root ROOT --dir DIR

The file holds no key and no secret. Repeat the command after each change of the
sites, or daily; it replaces an older export of the same network, and no other
file. With - as FILE the export goes to the standard output.`

func hubExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "export FILE", Short: "Write the network into a file, for a new hub",
		Long: hubExportHelp, Args: wantArgs("FILE"),
		Example: "  sealpost hub export /media/backup/DC-HQ.export --dir /srv/sealpost/DC-HQ",
		RunE: func(cmd *cobra.Command, args []string) error {
			file := args[0]
			if file == "-" && wantsJSON(cmd) {
				return usagef("--json wants a FILE: with - the output is the export")
			}
			var out hub.Exported
			if err := askHub(cmd.Context(), dirOf(cmd), hub.ControlExport, hub.Nothing{},
				&out); err != nil {
				return err
			}
			if file == "-" {
				_, err := fmt.Fprint(cmd.OutOrStdout(), out.Text)
				return err
			}
			if err := mayReplaceExport(file, out.Network); err != nil {
				return err
			}
			if err := secretfile.Write(file, []byte(out.Text)); err != nil {
				return err
			}
			return show(cmd, exportWritten{file, out.Made, out.Network, out.Sites, out.Queues},
				func() error {
					_, err := printf(cmd.OutOrStdout(), "Exported %s and %s: "+
						"%s\nKeep it away from this computer, like the root. For a new hub: "+
						"sealpost hub init --restore FILE --root ROOT\n", counted(out.Sites, "site",
						"sites"), counted(out.Queues, "queue", "queues"), file)
					return err
				})
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	return cmd
}

// exportWritten is the JSON of a written export.
type exportWritten struct {
	File    string    `json:"file"`
	Made    time.Time `json:"made"`
	Network id.Hash   `json:"network"`
	Sites   int       `json:"sites"`
	Queues  int       `json:"queues"`
}

// mayReplaceExport refuses to put an export in the place of any file but an older export of the
// same network.
func mayReplaceExport(path string, network id.Hash) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // not there, or the write will report the error
	}
	if info.Mode().IsRegular() && hub.IsExport(path, network) {
		return nil
	}
	return reason.Err("export-in-the-way", "file", path)
}

// printRestored lists the sites that the hub's first start lets in.
func printRestored(cmd *cobra.Command, r *hub.RestoreReport) error {
	w := cmd.OutOrStdout()
	printf(w, "Restored from %s, which hub %s made at %s (%s ago): %s, %s, %s.\n",
		r.From, r.Hub, localTime(r.Made),
		counted(int(time.Since(r.Made).Hours()/24), "day", "days"),
		counted(len(r.Sites), "site", "sites"), counted(r.Queues, "queue", "queues"),
		counted(len(r.Admins), "administrator", "administrators"))
	t := newTable("SITE", "STATE", "ROLE", "FINGERPRINT")
	var invited []string
	all := slices.Concat(r.Sites, r.Admins)
	for _, s := range all {
		t.add(s.Site, s.State, s.Role, s.Fingerprint)
		if s.State == hub.SiteInvited {
			invited = append(invited, string(s.Site))
		}
	}
	if len(all) > 0 {
		if err := t.print(w, ""); err != nil {
			return err
		}
	}
	fmt.Fprint(w, "The joined sites are admitted at the hub's first start, and connect by "+
		"themselves;\nadministrators have their rights again. Those removed, or joined, after "+
		"that time\nstand there as they were then: check the list, and mend it with sealpost hub "+
		"remove\nand hub admit.\n")
	if r.RosterTaken > 0 {
		printf(w, "Roster %d is taken from the root's folder.\n", r.RosterTaken)
	}
	if r.RosterTaken < r.Roster {
		printf(w, "WARNING: the lost hub had roster %d, and the root's folder does not have it. "+
			"Give it to\nthe new hub: sealpost hub roster FILE\n", r.Roster)
	}
	if len(invited) > 0 {
		printf(w, "Their invitations are lost, so invite them again: %s\n",
			strings.Join(invited, " "))
	}
	_, err := fmt.Fprintln(w)
	return err
}
