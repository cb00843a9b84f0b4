package cli

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sealpost/certs"
	"sealpost/hub"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

const certsAuthorityHelp = `Sign the request of a hub (sealpost hub init --request FILE) with the
root's key, on a computer that is not the hub's. Carry the signed file back to the
hub: sealpost hub init --signed FILE. With --name a missing root is made.

Compare the fingerprint of the key with the one that the hub has shown: whoever
has a signed key can make sites and hubs of this network.`

func certsAuthorityCommand() *cobra.Command {
	var root, name, out string
	ask := asker{optional: true}
	cmd := &cobra.Command{
		Use:   "authority REQUEST --root ROOT --out OUT",
		Short: "Sign the issuing authority of a hub", Long: certsAuthorityHelp,
		Example: "  sealpost certs authority DC-HQ.request --root /media/root --out DC-HQ.signed",
		Args:    wantArgs("REQUEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wantFlags(cmd, "root", "out"); err != nil {
				return err
			}
			ask.cmd = cmd
			signed, err := signAuthority(args[0], root, name, out, ask.passphrases())
			if err != nil {
				return err
			}
			return show(cmd, signed, func() error {
				if len(signed.Made) > 0 {
					printFiles(cmd.OutOrStdout(), "Made:", signed.Made)
					printf(cmd.OutOrStdout(), aboutRootKey[signed.RootEncrypted],
						filepath.Join(root, "root.key"))
				}
				_, err := printf(cmd.OutOrStdout(), "%s holds the signed certificate, until %s.\n"+
					"Fingerprint of the issuing key: %s\nNetwork fingerprint: %s\n"+
					"At the hub: sealpost hub init --signed %s\n", out, localTime(signed.NotAfter),
					fingerprint(signed.Key), fingerprint(signed.Network), filepath.Base(out))
				return err
			})
		},
	}
	jsonFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&root, "root", "", "the folder of the root, with its key")
	f.StringVar(&name, "name", "", "make a missing root, for the network of the "+
		"hub of this name")
	f.StringVar(&out, "out", "", "the file to write, such as DC-HQ.signed")
	f.StringVar(&ask.file, "passphrase", "", "a file with the passphrase of the root's key, if "+
		"it is encrypted (default: ask)")
	f.StringVar(&ask.newFile, "new-passphrase", "", "a file with the passphrase of a new root")
	return cmd
}

// authoritySigned is the JSON of a signed request.
type authoritySigned struct {
	File     string    `json:"file"`
	Key      id.Hash   `json:"key"`
	Network  id.Hash   `json:"network"`
	NotAfter time.Time `json:"not_after"`
	Made     []string  `json:"made"` // files of a new root, its key first
	// whether the root's key is encrypted
	RootEncrypted bool `json:"root_encrypted"`
}

func signAuthority(request, dir, name, out string,
	p certs.Passphrases) (s authoritySigned, err error) {
	csr, err := os.ReadFile(request)
	if err != nil {
		return s, err
	}
	if s.Key, err = certs.KeyOfCSR(csr); err != nil {
		return s, err
	}
	root, err := s.openRoot(dir, name, p)
	if err != nil {
		return s, err
	}
	chain, err := root.SignAuthority(csr, time.Now())
	if err != nil {
		return s, err
	}
	block, _ := pem.Decode(chain)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return s, err
	}
	s.File, s.Network, s.NotAfter = out, root.Network(), cert.NotAfter.UTC()
	return s, writeOnce(out, chain)
}

// openRoot opens the root in a folder. With a name it makes a missing one, and refuses one of
// another name.
func (s *authoritySigned) openRoot(dir, name string, p certs.Passphrases) (root *certs.Root,
	err error) {
	key := filepath.Join(dir, "root.key")
	if name == "" {
		root, err = p.OpenRoot(dir)
	} else if _, err = id.ParseSite(name); err == nil {
		for _, path := range []string{key, filepath.Join(dir, "root.pem")} {
			if _, err := os.Lstat(path); err != nil {
				s.Made = append(s.Made, path)
			}
		}
		root, err = p.InitRoot(dir, name)
	}
	if err != nil {
		return nil, asUsage(err)
	}
	if name != "" && root.Name() != name {
		return nil, asUsage(reason.Err("root-other-name", "folder", dir, "has", root.Name(),
			"name", name))
	}
	s.RootEncrypted, err = certs.IsEncrypted(key)
	return root, err
}

// authorityRequested is the JSON of a request.
type authorityRequested struct {
	File string  `json:"file"`
	Key  id.Hash `json:"key"`
}

// requestAuthority writes the request of a hub to a file.
func requestAuthority(cmd *cobra.Command, dir, file string, p certs.Passphrases) error {
	if _, err := makeAsOwner(cmd, dir); err != nil {
		return err
	}
	r, err := hub.RequestAuthority(absolute(dir), p)
	if err != nil {
		return err
	}
	if err := writeOnce(file, r.PEM); err != nil {
		return err
	}
	return show(cmd, authorityRequested{file, r.Key}, func() error {
		_, err := printf(cmd.OutOrStdout(), "%s holds the request. Carry it to the root, and "+
			"compare there:\nFingerprint of the issuing key: %s\nThere: sealpost certs "+
			"authority %s --root ROOT --out OUT\n", file, fingerprint(r.Key), filepath.Base(file))
		return err
	})
}

// writeOnce writes a new file. It never replaces one.
func writeOnce(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
