package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/hub"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

const hubInviteHelp = `Invite a site: write a file with which it can join, once, and make the queue
of a site that receives. The file holds a secret: carry it to the site on a way
that you trust.

Repeated, it replaces the invitation. For a site that has joined, the new one
works only for the key that the site has.

With --role admin, operator or viewer, invite an administrator on another
computer, who joins with sealpost hub join. An admin may do everything but this
and removing administrators, which is done at the hub's own computer. An
operator reads, holds, releases, requeues and discards; a viewer may only read.`

func hubInviteCommand() *cobra.Command {
	var role, out string
	var maySend []string
	var valid days
	var withFingerprints bool
	cmd := &cobra.Command{
		Use:   "invite SITE --role send|receive|both|admin|operator|viewer --out FILE",
		Short: "Invite a site or an administrator to join",
		Long:  hubInviteHelp,
		Args:  wantArgs("SITE"), Example: "  sealpost hub invite FL-LAB --role send --out " +
			"FL-LAB.join",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wantFlags(cmd, "out"); err != nil {
				return err
			}
			site, err := siteArg(args[0])
			if err != nil {
				return err
			}
			if err := mayReplace(out, site); err != nil {
				return err
			}
			inv, err := invite(cmd, hub.InviteRequest{Site: site, Role: role, MaySend: maySend,
				Valid: valid.Duration})
			if err != nil {
				return err
			}
			if err := mayReplace(out, site); err != nil {
				return err
			}
			file := inv.File()
			if withFingerprints {
				if file.Fingerprints, err = fingerprintsFor(cmd, inv); err != nil {
					return err
				}
			}
			if err := file.Write(out); err != nil {
				return fmt.Errorf("%w; the invitation is not usable: mend that and invite %s again",
					err, site)
			}
			inv.Secret = "" // only the file has it
			return show(cmd, invitationWritten{Invited: inv, File: out}, func() error {
				return printInvited(cmd.OutOrStdout(), inv, out)
			})
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&role, "role", "", "what the site does: send, receive or both; or, for an "+
		"administrator, admin, operator or viewer")
	f.StringSliceVar(&maySend, "may-send", nil,
		"routing keys under which it may send, with * and # (default the site's name: fl-lab.#)")
	f.StringVar(&out, "out", "", "the file to write, such as FL-LAB.join")
	f.BoolVar(&withFingerprints, "with-fingerprints", false, "put in the fingerprints of the "+
		"sites that it may meet, so that the hub cannot show it others when they first meet")
	f.Var(&valid, "valid", "how long the invitation can be used, such as 12h or 30d (default 7d)")
	return cmd
}

// invite asks the hub for the invitation of a site or an admin.
func invite(cmd *cobra.Command, in hub.InviteRequest) (inv hub.Invited, err error) {
	if !certs.IsAdminRole(in.Role) {
		return inv, askHub(cmd.Context(), dirOf(cmd), hub.ControlInvite, in, &inv)
	}
	if len(in.MaySend) > 0 {
		return inv, usagef("--may-send is for sites: an administrator sends nothing")
	}
	return inv, askHub(cmd.Context(), dirOf(cmd), hub.ControlInviteAdmin,
		hub.InviteAdminRequest{Name: in.Site, Role: in.Role, Valid: in.Valid}, &inv)
}

// fingerprintsFor returns the fingerprints of the joined sites that the invited one may meet.
func fingerprintsFor(cmd *cobra.Command, inv hub.Invited) (map[id.Site]id.Hash, error) {
	var out hub.SitesAnswer
	if err := askHub(cmd.Context(), dirOf(cmd), hub.ControlSites, hub.Nothing{},
		&out); err != nil {
		return nil, err
	}
	all := map[id.Site]id.Hash{}
	for _, s := range out.Sites {
		if s.State == hub.SiteJoined && s.Site != inv.Site &&
			(s.Role != inv.Role || s.Role == config.RoleBoth) {
			all[s.Site] = s.Fingerprint
		}
	}
	return all, nil
}

// invitationWritten is the JSON of the command. Only the file has the secret.
type invitationWritten struct {
	hub.Invited
	Secret *string `json:"secret,omitempty"` // hides the empty one
	File   string  `json:"file"`
}

// mayReplace refuses to put an invitation in the place of any file but an older invitation of the
// same site.
func mayReplace(path string, site id.Site) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // not there, or the write will report the error
	}
	if info.Mode().IsRegular() {
		if inv, err := certs.ReadInvitation(path); err == nil && inv.Site == site {
			return nil
		}
	}
	return fmt.Errorf("%s is there already and is no invitation of %s, so nothing was done: "+
		"choose another --out, or remove it first", path, site)
}

func printInvited(w io.Writer, inv hub.Invited, out string) error {
	printf(w, "%s is invited (%s) until %s: %s\n", inv.Site, inv.Role, localTime(inv.Expires),
		out)
	if inv.Joined {
		fmt.Fprintln(w, "It has joined before: only the computer that has its key can use this "+
			"invitation.")
	}
	if len(inv.MaySend) > 0 {
		printf(w, "It may send under: %s\n", strings.Join(inv.MaySend, " "))
	}
	if inv.Queue != "" {
		printf(w, "It receives through the queue %s; direct routing keys to it with: "+
			"sealpost hub bind %s KEY…\n", inv.Queue, inv.Queue)
	}
	to, command := "site", "agent"
	if certs.IsAdminRole(inv.Role) {
		to, command = "administrator", "hub"
	}
	_, err := printf(w, "Send the file to the %s over a channel that you trust. There: "+
		"sealpost %s join %s --dir DIR\n", to, command, out)
	return err
}

func hubAdmitCommand() *cobra.Command {
	var role, print string
	var maySend []string
	cmd := &cobra.Command{
		Use: "admit SITE --fingerprint F --role R", Short: "Let in a site by its fingerprint",
		Long: "Let in a site that asks to be let in: `sealpost hub sites` shows it with this\n" +
			"command. Its fingerprint stands in `sealpost agent status` there; compare it, or\n" +
			"its six words, by voice. A site that another hub under the same root has\n" +
			"enrolled has nothing to do; one whose invitation was used by another computer\n" +
			"runs the same join again, within 7 days. Or change the role of a site that is\n" +
			"in, which then joins again with a new invitation.",
		Args: wantArgs("SITE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wantFlags(cmd, "fingerprint", "role"); err != nil {
				return err
			}
			site, err := siteArg(args[0])
			if err != nil {
				return err
			}
			in := hub.AdmitRequest{Site: site, Fingerprint: id.Hash(
				strings.ReplaceAll(print, " ", "")), Role: role, MaySend: maySend}
			var out hub.Changed
			if err := askHub(cmd.Context(), dirOf(cmd), hub.ControlAdmit, in, &out); err != nil {
				return err
			}
			return show(cmd, out, func() error {
				if _, err := printf(cmd.OutOrStdout(), map[bool]string{
					true: "%s is admitted (%s).\n", false: "%s was admitted already (%s).\n",
				}[out.Changed], site, role); err != nil || out.RunsAs == "" {
					return err
				}
				_, err = printf(cmd.OutOrStdout(), "%s", runsAs(site, role, out.RunsAs))
				return err
			})
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&print, "fingerprint", "", "the fingerprint of the site's identity key, 64 "+
		"hexadecimal digits")
	f.StringVar(&role, "role", "", "what the site does: send, receive or both")
	f.StringSliceVar(&maySend, "may-send", nil,
		"routing keys under which it may send, with * and # (default the site's name: fl-lab.#)")
	return cmd
}

func hubRemoveCommand() *cobra.Command {
	var keepSent bool
	cmd := &cobra.Command{
		Use: "remove SITE", Short: "Take a site or an administrator off the network",
		Long: "Take a site off the network: cut its connections, take its queue out of all\n" +
			"routes, and end the deliveries that wait for it. Senders are told. Its uploads and\n" +
			"its own envelopes that still wait for other sites are removed, which frees their\n" +
			"space at once; with --keep-sent its envelopes still arrive. To let it in again,\n" +
			"invite or admit it.\n\n" +
			"An administrator on another computer loses its rights in the same way, at the\n" +
			"hub's own computer; no call of it has an effect after this command has ended.",
		Args: wantArgs("SITE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			site, err := siteArg(args[0])
			if err != nil {
				return err
			}
			var out hub.Removed
			err = askHub(cmd.Context(), dirOf(cmd), hub.ControlRemove,
				hub.RemoveRequest{Site: site, KeepSent: keepSent}, &out)
			if reason.Of(err).Code == "hub-name-of-admin" {
				return removeAdmin(cmd, site)
			}
			if err != nil {
				return err
			}
			return show(cmd, out, func() error {
				state := map[bool]string{true: "is removed", false: "was removed already"}
				_, err := printf(cmd.OutOrStdout(), "%s %s; %s cut, %s that waited for it and %d "+
					"from it ended, %s aborted.\n", site, state[out.Changed],
					counted(out.Connections, "connection", "connections"),
					counted(out.Killed, "delivery", "deliveries"), out.Sent,
					counted(out.Uploads, "upload", "uploads"))
				return err
			})
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	cmd.Flags().BoolVar(&keepSent, "keep-sent", false,
		"let the envelopes that it has sent still arrive")
	return cmd
}

func hubSitesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "sites", Short: "List the sites", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showHub(cmd, hub.ControlSites, hub.Nothing{}, printSites)
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	return cmd
}

func printSites(w io.Writer, out hub.SitesAnswer) error {
	t := newTable("SITE", "STATE", "ROLE", "MAY SEND", "QUEUE", "WAITING", "OLDEST",
		"LAST SEEN", "VERSION", "CONNECTIONS", "ROSTER", "FINGERPRINT", "WORDS")
	for _, s := range out.Sites {
		t.add(s.Site, s.State, s.Role, s.MaySend, s.Queue, s.Waiting, s.Oldest, s.LastSeen,
			s.Version, s.Connections, s.Roster, s.Fingerprint, s.Words)
	}
	if err := t.print(w,
		"No sites yet. Invite one with: sealpost hub invite SITE --role "+
			"send|receive|both --out SITE.join"); err != nil {
		return err
	}
	if err := printSiteFaults(w, out.Sites); err != nil {
		return err
	}
	if out.Roster.Number > 0 || out.Roster.Lacks > 0 {
		printf(w, "\nRoster:       %s\n", rosterLine(out.Roster))
		if err := printMissing(w, out.Roster); err != nil {
			return err
		}
	}
	return printKnocks(w, out.Knocking)
}

// printKnocks prints the callers that are not admitted, and the commands that admit them.
func printKnocks(w io.Writer, knocks []hub.Knock) error {
	if len(knocks) == 0 {
		return nil
	}
	fmt.Fprintln(w, "\nThese ask to be let in. Admit one only after comparing its fingerprint "+
		"by voice:")
	t := newTable("SITE", "FROM", "FIRST", "LAST", "COUNT", "WHY")
	for _, k := range knocks {
		t.add(k.Site, k.From, k.First, k.Last, k.Count, k.Reason)
	}
	if err := t.print(w, ""); err != nil {
		return err
	}
	for _, k := range knocks {
		if _, err := printf(w, "\n%s: %s\n  %s\n  %s\n", k.Site, fingerprint(k.Fingerprint),
			k.Words, k.Admit); err != nil {
			return err
		}
	}
	return nil
}

// printSiteFaults prints the faults of sites that an admin has to repair.
func printSiteFaults(w io.Writer, sites []hub.SiteStatus) error {
	for _, s := range sites {
		if s.Hold != nil {
			fmt.Fprintln(w)
			if err := printHold(w, s.Site, s.Hold); err != nil {
				return err
			}
		}
		if !s.OldestExpires.IsZero() {
			if _, err := printf(w, "\nDeliveries for %s end undelivered from %s on "+
				"(%s).\n", s.Site, localTime(s.OldestExpires), expiryOf(s)); err != nil {
				return err
			}
		} else if s.Usage != nil && s.Usage.OwnExpires {
			if _, err := printf(w, "\nDeliveries for %s have a time of their own until they "+
				"end: %s.\n", s.Site, endsAfter(*s.Usage)); err != nil {
				return err
			}
		}
		if s.RunsAs != "" {
			if _, err := printf(w, "\n%s", runsAs(s.Site, s.Role, s.RunsAs)); err != nil {
				return err
			}
		}
		if len(s.Copies) > 1 {
			if _, err := printf(w, "\n%s runs %d times with the same keys, from %s: stop "+
				"all but one of them. A second computer is a second site.\n",
				s.Site, len(s.Copies), strings.Join(s.Copies, " and ")); err != nil {
				return err
			}
		}
	}
	return nil
}

// expiryOf names the place where the time of deliveries for a site is set.
func expiryOf(s hub.SiteStatus) string {
	if s.Usage != nil && s.Usage.OwnExpires {
		return "sealpost hub quota --queue-expires"
	}
	return "expires_after in hub.toml"
}

// because returns the reason of a hold in parentheses.
func because(h *api.Hold) shown {
	if h.Because == "" {
		return ""
	}
	return shown(sprintf(" (%s)", h.Because))
}

// runsAs says that a site's agent has another role than the hub has for it, and what to do.
func runsAs(site id.Site, role, own string) shown {
	return shown(sprintf("%[1]s runs as %[3]s, and the hub has it as %[2]s: what needs the other "+
		"role waits. If %[2]s is right, the site has to join again:\n"+
		"  sealpost hub invite %[1]s --out %[1]s.join    and there: sealpost agent join "+
		"%[1]s.join\n", site, role, own))
}

// siteFlag reads a site's name from a flag that may be empty.
func siteFlag(name string) (id.Site, error) {
	if name == "" {
		return "", nil
	}
	return siteArg(name)
}

// siteArg reads a site's name from the command line.
func siteArg(name string) (id.Site, error) {
	site, err := id.ParseSite(name)
	if err != nil {
		return "", &usageError{err}
	}
	return site, nil
}
