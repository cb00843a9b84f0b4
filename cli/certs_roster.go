package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sealpost/certs"
	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/statement"
)

const rosterHelp = `The roster lists the sites of the network with the fingerprints of their
identities, and the keys that are distrusted. The root signs it, away from the
hub, so the hub can neither put itself between two sites nor hide a stolen key.

  1. at the hub, write the sites into a file:  sealpost hub export FILE
  2. where the root is, sign:                  sealpost certs roster sign FILE
  3. at the hub, hand it out:                  sealpost hub roster FILE

A roster ends after some time: sign the next one before.`

func certsRosterCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "roster", Short: "Sign the list of sites with the root's key",
		Long: rosterHelp, Args: noArgs, RunE: group}
	cmd.AddCommand(rosterSignCommand(), rosterShowCommand())
	return cmd
}

const rosterSignHelp = `Sign a roster, where the root's key is. It needs no hub and no network.

FILE has the sites: an export of the hub (sealpost hub export), the output of
sealpost hub sites --json, or a roster as sealpost certs roster show prints it,
which you may have edited. Without FILE the sites are those of the last roster.

The differences from the last roster are shown first. Compare the fingerprint of
each new one with a user at that site whom you know: the file came from the hub,
which may lie. Then answer yes, or say --yes if you have compared before.

The root's folder keeps the last roster. The number of each one is higher than
that of the one before: if another folder or a hub has a later one, give it with
--last.`

// signRequest holds the flags of the command.
type signRequest struct {
	root, out, last string
	validFor        days
	distrust        []string
	required, yes   bool
}

func rosterSignCommand() *cobra.Command {
	in := signRequest{validFor: days{30 * 24 * time.Hour}}
	var ask asker
	cmd := &cobra.Command{
		Use: "sign [FILE] --root ROOT --out OUT", Short: "Sign the next roster",
		Long: rosterSignHelp,
		Example: "  sealpost certs roster sign DC-HQ.export --root /media/root --out roster.jws\n" +
			"  sealpost certs roster sign --root /media/root --out roster.jws --distrust SF-RC",
		Args: oneOrNone("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wantFlags(cmd, "root", "out"); err != nil {
				return err
			}
			if in.validFor.Duration > statement.MaxRosterAge {
				return usagef("--valid-for: want at most %s", &days{statement.MaxRosterAge})
			}
			if in.validFor.Duration < time.Second {
				return usagef("--valid-for: want at least 1s")
			}
			if wantsJSON(cmd) && !in.yes {
				return usagef("--json cannot ask: want --yes as well")
			}
			ask.cmd = cmd
			return signRoster(cmd, in, strings.Join(args, ""), ask.passphrases())
		},
	}
	jsonFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&ask.file, "passphrase", "", "a file with the passphrase of the root's key, if "+
		"it is encrypted (default: ask)")
	f.StringVar(&in.root, "root", "", "the folder of the root, with its key")
	f.StringVar(&in.out, "out", "", "the file to write, such as roster.jws")
	f.StringVar(&in.last, "last", "", "the last roster, if the root's folder does not have it")
	f.Var(&in.validFor, "valid-for", "how long the roster is valid, such as 30d; at most 400d")
	f.StringSliceVar(&in.distrust, "distrust", nil, "a site whose key is stolen: its key of the "+
		"last roster, or SITE=FINGERPRINT; may be repeated")
	f.BoolVar(&in.required, "required", false, "sites trust only those on the roster, from now "+
		"on and for ever")
	f.BoolVar(&in.yes, "yes", false, "sign without asking: the new fingerprints are compared")
	return cmd
}

// keptRoster is the file of the last roster in the root's folder.
const keptRoster = "roster.jws"

// signedReport is the JSON of a signed roster.
type signedReport struct {
	File   string           `json:"file"`
	Roster statement.Roster `json:"roster"`
	Left   []id.Site        `json:"left,omitempty"` // not on it, since they have not joined
}

func signRoster(cmd *cobra.Command, in signRequest, file string, p certs.Passphrases) error {
	root, err := p.OpenRoot(in.root)
	if err != nil {
		return err
	}
	v := certs.NewVerifier(root.Certificate())
	last, err := lastRoster(in, v)
	if err != nil {
		return err
	}
	draft := draftOf(last)
	if file != "" {
		if draft, err = readDraft(file, v, last); err != nil {
			return err
		}
	} else if last == nil {
		return usagef("this is the first roster: want a FILE with the sites")
	}
	next, err := draft.roster(in, v.Network, last, time.Now().UTC().Truncate(time.Second))
	if err != nil {
		return asUsage(err)
	}
	if err := mayReplaceRoster(in.out, v); err != nil {
		return err
	}
	if !wantsJSON(cmd) {
		if err := printReview(cmd.OutOrStdout(), review{last, next, draft}); err != nil {
			return err
		}
	}
	if !in.yes && !saysYes(cmd) {
		return reason.Err("roster-not-signed")
	}
	if err := writeRoster(root, next, in); err != nil {
		return err
	}
	return show(cmd, signedReport{in.out, next, draft.left}, func() error {
		_, err = printf(cmd.OutOrStdout(), "\nRoster %d is signed: %s\nBring it to the hub: "+
			"sealpost hub roster %[2]s\n", next.Number, in.out)
		return err
	})
}

// writeRoster signs a roster and writes its files. The root's folder has it first: a number is used
// once, also after a crash.
func writeRoster(root *certs.Root, next statement.Roster, in signRequest) error {
	jws, err := statement.SignRoster(root, next)
	if err != nil {
		return err
	}
	for _, path := range []string{filepath.Join(in.root, keptRoster), in.out} {
		if err := durable.WriteFile(path, []byte(jws), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// saysYes asks the user, and reports whether the answer is yes.
func saysYes(cmd *cobra.Command) bool {
	fmt.Fprint(cmd.OutOrStdout(), "\nSign it? Type yes if you have compared each new "+
		"fingerprint: ")
	line, err := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), 100)).ReadString('\n')
	return (err == nil || errors.Is(err, io.EOF)) && strings.TrimSpace(line) == "yes"
}

// lastRoster returns the roster with the highest number of those given and kept; nil: there is
// none.
func lastRoster(in signRequest, v certs.Verifier) (*statement.Roster, error) {
	var last *statement.Roster
	for _, path := range []string{filepath.Join(in.root, keptRoster), in.last} {
		if path == "" {
			continue
		}
		r, err := readRoster(path, v)
		if errors.Is(err, fs.ErrNotExist) && path != in.last {
			continue
		}
		if err != nil {
			return nil, err
		}
		if last == nil || r.Number > last.Number {
			last = &r
		} else if _, err := r.Replaces(last); err != nil && r.Number == last.Number {
			return nil, err
		}
	}
	return last, nil
}

// readRoster reads and verifies a roster's file.
func readRoster(path string, v certs.Verifier) (statement.Roster, error) {
	text, err := readLimited(path, statement.MaxRoster)
	if err != nil {
		return statement.Roster{}, err
	}
	r, err := statement.OpenRoster(strings.TrimSpace(string(text)), v)
	if err != nil {
		return r, reason.Err("roster-file", "file", path, "why", err)
	}
	return r, nil
}

// readLimited reads a file of at most some bytes, and a line break.
func readLimited(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+3))
	if err == nil && int64(len(text)) > most+2 {
		err = reason.Err("roster-file-large", "file", path, "most", reason.Size(most))
	}
	return text, err
}

// mayReplaceRoster refuses to put a roster in the place of any file but an older roster of the same
// network.
func mayReplaceRoster(path string, v certs.Verifier) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // not there, or the write will report the error
	}
	if info.Mode().IsRegular() {
		if _, err := readRoster(path, v); err == nil {
			return nil
		}
	}
	return reason.Err("roster-in-the-way", "file", path)
}

func rosterShowCommand() *cobra.Command {
	var root string
	cmd := &cobra.Command{
		Use: "show FILE --root ROOT", Short: "Verify a roster and print it",
		Long: "Verify a roster under the root's certificate, and print it in the form in which\n" +
			"it can be edited and signed again. ROOT is the root's folder, or a file or\n" +
			"folder with its certificate, such as the state folder of a hub. No key is read.",
		Args: wantArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wantFlags(cmd, "root"); err != nil {
				return err
			}
			v, err := verifierAt(root)
			if err != nil {
				return err
			}
			r, err := readRoster(args[0], v)
			if err != nil {
				return err
			}
			return show(cmd, r, func() error {
				text, err := textOf(r)
				if err == nil {
					_, err = cmd.OutOrStdout().Write(text)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&root, "root", "", "the root's certificate, or a folder with it")
	jsonFlag(cmd)
	return cmd
}
