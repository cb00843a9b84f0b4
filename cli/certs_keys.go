package cli

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"sealpost/certs"
)

const certsEncryptHelp = `Encrypt the key file of a root (root.key) or of a hub's issuing authority
(state/issuing.key) under a passphrase, or change its passphrase. The file is a
standard one that "openssl pkey -in FILE" opens.

The passphrase is read in a terminal, twice, or from the file --new-passphrase;
that of a file that is encrypted already, from --passphrase. A passphrase has at
least 12 characters. Nothing opens the key again if it is lost.

The new file takes the place of the old one in one step. The old one's blocks
stay on the disk until they are used again, and so do backups: for a key that
was never on this disk in clear, use an encrypted disk, or make a new one.

A hub with an encrypted issuing.key needs the passphrase at each start, from
passphrase_file in hub.toml, from the service's credential sealpost-issuing, or
in its terminal.`

func certsEncryptCommand() *cobra.Command {
	var ask asker
	cmd := &cobra.Command{
		Use: "encrypt FILE", Short: "Encrypt a root's or hub's key file, or change its passphrase",
		Long: certsEncryptHelp, Args: wantArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ask.cmd = cmd
			if err := rewriteKey(cmd, args[0], ask.passphrases()); err != nil {
				return err
			}
			return show(cmd, keyRewritten{args[0], true}, func() error {
				_, err := printf(cmd.OutOrStdout(), "%s is encrypted. Keep the passphrase: "+
					"nothing opens the key without it.\n", args[0])
				return err
			})
		},
	}
	jsonFlag(cmd)
	cmd.Flags().StringVar(&ask.file, "passphrase", "", "a file with the present passphrase")
	cmd.Flags().StringVar(&ask.newFile, "new-passphrase", "", "a file with the new passphrase")
	return cmd
}

func certsDecryptCommand() *cobra.Command {
	var ask asker
	cmd := &cobra.Command{
		Use: "decrypt FILE", Short: "Remove the passphrase of a key file",
		Long: "Write the key file of a root or of a hub's issuing authority anew, not encrypted.",
		Args: wantArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ask.cmd = cmd
			if err := rewriteKey(cmd, args[0],
				certs.Passphrases{Of: ask.passphrases().Of}); err != nil {
				return err
			}
			return show(cmd, keyRewritten{args[0], false}, func() error {
				_, err := printf(cmd.OutOrStdout(), "%s is not encrypted.\n", args[0])
				return err
			})
		},
	}
	jsonFlag(cmd)
	cmd.Flags().StringVar(&ask.file, "passphrase", "", "a file with the passphrase")
	return cmd
}

// keyRewritten is the JSON of a rewritten key file.
type keyRewritten struct {
	File      string `json:"file"`
	Encrypted bool   `json:"encrypted"`
}

// rewriteKey rewrites a key file as the owner of its folder.
func rewriteKey(cmd *cobra.Command, path string, p certs.Passphrases) error {
	if err := workAsOwner(cmd, filepath.Dir(path)); err != nil {
		return err
	}
	return p.Rewrite(path)
}
