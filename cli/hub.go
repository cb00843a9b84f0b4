package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"

	"github.com/spf13/cobra"

	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/reason"
	"sealpost/internal/service"
)

func hubCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "hub", Short: "Set up, run and administrate the hub", Args: noArgs,
		RunE: group}
	cmd.AddCommand(hubInitCommand(), hubRunCommand(), hubInviteCommand(), hubJoinCommand(),
		hubAdminsCommand(),
		hubInvitationsCommand(), hubRevokeCommand(), hubAdmitCommand(), hubRemoveCommand(),
		hubBindCommand("bind", hub.ControlBind), hubBindCommand("unbind", hub.ControlUnbind),
		hubQueuesCommand(), hubSitesCommand(), hubMessagesCommand(), hubDeadCommand(),
		hubRequeueCommand(), hubDiscardCommand(), hubHoldCommand(), hubReleaseCommand(),
		hubHoldsCommand(), hubStatusCommand(), hubQuotaCommand(),
		hubExportCommand(), hubRosterCommand(), hubAuditCommand(), hubCheckCommand(),
		hubConsoleCommand(), hubReloadCommand(), hubAcknowledgeCommand(), hubDoctorCommand(),
		profileCommand("hub", callHub))
	cmd.AddCommand(serviceCommands(service.Hub)...)
	return cmd
}

const hubInitHelp = `Set up a hub in a folder: its root, the issuing authority under it, the hub's
certificate, and hub.toml. Repeated, it keeps what is there and makes what is
missing.

The root lies in a folder of its own, DIR-root unless --root names another. Once
init has run, the hub does not need it any more: take it away, to a place from
which nobody can steal it. With --root an existing root is used, so that a new
hub is believed by the sites of an old one.

The root's key is encrypted under a passphrase: init asks for it in a terminal,
or reads it from the file --root-passphrase. Without one the key is not
encrypted. Nothing opens it again if the passphrase is lost.

The root's key need not come to this computer at all: --request writes a request
for the hub's issuing key, sealpost certs authority signs it where the root is,
and init with --signed takes the signed file. The same renews the authority of
an existing hub; restart the hub then.

With --issuing-passphrase FILE a new issuing key is encrypted, and an encrypted
one is opened. A hub needs its passphrase at each start (sealpost certs encrypt
--help), so init does not ask for it.

With --restore a new hub takes the place of a lost one: it has the name, the
addresses, the sites and the queues of an export (sealpost hub export), and the
sites connect to it by themselves. It needs the root's folder with its key.`

func hubInitCommand() *cobra.Command {
	var o hub.InitOptions
	var passphraseFile, issuingFile, request string
	cmd := &cobra.Command{
		Use: "init", Short: "Set up a hub in a folder", Long: hubInitHelp, Args: noArgs,
		Example: "  sealpost hub init --dir /srv/sealpost/DC-HQ --name DC-HQ --host " +
			"hub.example.org\n" +
			"  sealpost hub init --dir /srv/sealpost/DC-HQ --restore DC-HQ.export --root " +
			"/media/root",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Dir = dirOf(cmd)
			ask := &asker{cmd: cmd, file: passphraseFile, newFile: passphraseFile,
				issuing: issuingFile, optional: true}
			o.Passphrases = ask.passphrases()
			if request != "" {
				return requestAuthority(cmd, o.Dir, request, o.Passphrases)
			}
			if made, err := config.LoadHub(config.HubFile(o.Dir)); err == nil {
				o.Name = cmp.Or(o.Name, made.Name)
			} else if o.Restore != "" {
				// the export has them
			} else if err := wantFlags(cmd, "name", "host"); err != nil {
				return err
			}
			account, err := makeAsOwner(cmd, o.Dir)
			if err != nil {
				return err
			}
			report, err := hub.Init(o)
			if account != "" && errors.Is(err, fs.ErrPermission) {
				return reason.Err("because-works-as", "why", err, "account", account,
					"folder", absolute(o.Dir))
			}
			if err != nil {
				return asUsage(err)
			}
			return show(cmd, report, func() error { return printInit(cmd, report) })
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&o.Name, "name", "", "the hub's name, such as DC-HQ")
	f.StringSliceVar(&o.Hosts, "host", nil, "a host name or address under which agents reach "+
		"the hub; may be repeated")
	f.StringVar(&o.Listen, "listen", "", `where the hub listens for agents (default ":7443")`)
	f.StringVar(&o.RootDir, "root", "", "the folder of the root (default DIR-root)")
	f.StringVar(&passphraseFile, "root-passphrase", "", "a file with the passphrase of the "+
		"root's key")
	f.StringVar(&issuingFile, "issuing-passphrase", "", "a file with the passphrase of the "+
		"hub's issuing key")
	f.StringVar(&o.Restore, "restore", "", "an export of a lost hub, whose place this one takes")
	f.StringVar(&o.Roster, "roster", "", `"required" if the sites trust only those on the `+
		`roster, which the root signs (sealpost certs roster); default "optional"`)
	f.StringVar(&request, "request", "", "write a request for the issuing key to this file, "+
		"and do nothing else")
	f.StringVar(&o.Signed, "signed", "", "the signed request, from sealpost certs authority")
	cmd.MarkFlagsMutuallyExclusive("request", "signed")
	f.StringVar(&o.Suite, "suite", "",
		`the network's encryption, "hybrid" (post-quantum) or "x25519"; `+
			`fixed for ever (default "hybrid")`)
	return cmd
}

func printInit(cmd *cobra.Command, r hub.InitReport) error {
	w := cmd.OutOrStdout()
	_, port, err := net.SplitHostPort(r.Listen)
	if err != nil {
		return err
	}
	printf(w, "The hub is set up in %s.\n", r.Dir)
	printFiles(w, "Made:", r.Made)
	printFiles(w, "Renewed:", r.Renewed)
	if len(r.Made)+len(r.Renewed) == 0 {
		fmt.Fprintln(w, "Everything was there already.")
	}
	printf(w, "Issuing authority: valid until %s\n", localTime(r.AuthorityEnds))
	printf(w, "Network fingerprint: %s\n\n", fingerprint(r.Network))
	if r.Restored != nil {
		if err := printRestored(cmd, r.Restored); err != nil {
			return err
		}
	}
	switch {
	case r.DiskFree < r.Reserve:
		printf(w, "WARNING: %s.\n\n", hub.BelowReserve(r.DiskFree, r.Reserve))
	case r.Reserve < r.Usual && len(r.Made) > 0:
		printf(w, "Disk: %s.\n\n", reason.New("hub-small-disk",
			"free", reason.Size(r.DiskFree), "reserve", reason.Size(r.Reserve),
			"usual", reason.Size(r.Usual)))
	}
	if r.RootDir == "" {
		printf(w, "The root is on another computer. Compare the network's fingerprint with the "+
			"one there. A hub\nthat runs already uses the new certificate after a restart.\n\n")
		return printNext(cmd, r, port)
	}
	printf(w, "The root's key lies in %s. The hub does not need it:\n"+
		"take that folder away and keep it where nobody can steal it. Whoever has it can make "+
		"sites believe another hub.\n", r.RootDir)
	if r.RootEncrypted != nil {
		printf(w, aboutRootKey[*r.RootEncrypted], filepath.Join(r.RootDir, "root.key"))
	}
	fmt.Fprintln(w)
	return printNext(cmd, r, port)
}

// printFiles prints a list of files below a title, if there are any.
func printFiles(w io.Writer, title string, files []string) {
	if len(files) > 0 {
		printf(w, "%s\n", title)
	}
	for _, path := range files {
		printf(w, "  %s\n", path)
	}
}

// aboutRootKey holds the words about a root's key, by whether it is encrypted.
var aboutRootKey = map[bool]string{
	true: "The key is encrypted: keep the passphrase elsewhere. Nothing opens %s\n" +
		"without it.\n",
	false: "The key is not encrypted. To encrypt it: sealpost certs encrypt %s\n",
}

// printNext prints the commands that follow init.
func printNext(cmd *cobra.Command, r hub.InitReport, port string) error {
	w := cmd.OutOrStdout()
	if r.IssuingEncrypted {
		printf(w, "The issuing key is encrypted. The hub needs its passphrase at each start: "+
			"passphrase_file\nin hub.toml, the service's credential %s, or a terminal.\n",
			hub.Credential)
	}
	printf(w, "Next: sealpost hub run --dir %s       (agents must reach port %s)\n", r.Dir,
		port)
	if r.Restored != nil {
		_, err := printf(w, "then: sealpost hub sites --dir %s\n", r.Dir)
		return err
	}
	_, err := printf(w, "then: sealpost hub invite SITE --role send|receive|both --out "+
		"SITE.join --dir %s\n", r.Dir)
	return err
}
