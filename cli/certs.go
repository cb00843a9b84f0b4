package cli

import (
	"crypto/x509"
	"encoding/pem"
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
	"sealpost/internal/id"
	"sealpost/internal/spoken"
)

const certsHelp = `Show certificates: of a site's or hub's folder, or of a PEM file. Only public
files are read.

The fingerprint is the SHA-256 of the public key. Of a site it is what two
people compare by voice before they trust a change; of the root it is the
network's fingerprint.`

func certsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "certs FOLDER|FILE", Short: "Show the certificates and fingerprints of a folder " +
			"or file", Long: certsHelp,
		Args: wantArgs("FOLDER or FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			reports, err := readCertificates(args[0])
			if err != nil {
				return err
			}
			return show(cmd, certificatesReport{reports}, func() error {
				return printCertificates(cmd.OutOrStdout(), reports, time.Now())
			})
		},
	}
	jsonFlag(cmd)
	cmd.AddCommand(certsEncryptCommand(), certsDecryptCommand(), certsAuthorityCommand(),
		certsRosterCommand())
	return cmd
}

// certificatesReport is the JSON of the command.
type certificatesReport struct {
	Certificates []certificateReport `json:"certificates"`
}

// certificateReport is one certificate as it is shown.
type certificateReport struct {
	Name        string    `json:"name"`
	Use         string    `json:"use"`
	Fingerprint id.Hash   `json:"fingerprint"`
	Words       string    `json:"words"` // of the fingerprint
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Hosts       []string  `json:"hosts,omitempty"`
}

// readCertificates reads a PEM file, or the chain of the daemon whose folder it is.
func readCertificates(path string) ([]certificateReport, error) {
	text, file, err := readFirst(path, filepath.Join(path, "state", "chain.pem"),
		filepath.Join(path, "chain.pem"), filepath.Join(path, "root.pem"))
	if err != nil {
		return nil, err
	}
	var reports []certificateReport
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s holds a %s: want a file of certificates, such as chain.pem",
				file, strings.ToLower(block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate in %s: %w", file, err)
		}
		reports = append(reports, describe(cert))
	}
	if len(reports) == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return reports, nil
}

// readFirst returns the first of the files that is there and is no folder.
func readFirst(paths ...string) (text []byte, file string, err error) {
	for _, p := range paths {
		info, err := os.Stat(p)
		if errors.Is(err, fs.ErrNotExist) || (err == nil && info.IsDir()) {
			continue
		}
		text, err := os.ReadFile(p)
		return text, p, err
	}
	return nil, "", fmt.Errorf("no certificate in %s: give the folder of a hub or of a site "+
		"that has joined, or a PEM file", paths[0])
}

func describe(cert *x509.Certificate) certificateReport {
	r := certificateReport{
		Name: cert.Subject.CommonName, Use: use(cert),
		Fingerprint: certs.Fingerprint(cert.PublicKey),
		Words:       spoken.Words(certs.Fingerprint(cert.PublicKey)),
		NotBefore:   cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(), Hosts: cert.DNSNames,
	}
	for _, ip := range cert.IPAddresses {
		r.Hosts = append(r.Hosts, ip.String())
	}
	return r
}

func use(cert *x509.Certificate) string {
	switch {
	case cert.IsCA && cert.CheckSignatureFrom(cert) == nil:
		return "root"
	case cert.IsCA:
		return "issuing authority"
	case len(cert.ExtKeyUsage) == 1 && cert.ExtKeyUsage[0] == x509.ExtKeyUsageClientAuth:
		if len(cert.URIs) == 1 && strings.HasPrefix(cert.URIs[0].String(), "urn:sealpost:admin:") {
			return "administrator"
		}
		return "site"
	case len(cert.ExtKeyUsage) == 1 && cert.ExtKeyUsage[0] == x509.ExtKeyUsageServerAuth:
		return "hub"
	}
	return "not sealpost's"
}

func printCertificates(w io.Writer, reports []certificateReport, now time.Time) error {
	for i, r := range reports {
		if i > 0 {
			fmt.Fprintln(w)
		}
		printf(w, "%s (%s)\n  fingerprint  %s\n  words        %s\n  valid        %s\n",
			r.Name, r.Use, fingerprint(r.Fingerprint), r.Words, validity(r, now))
		if len(r.Hosts) > 0 {
			printf(w, "  hosts        %s\n", strings.Join(r.Hosts, " "))
		}
	}
	return nil
}

func validity(r certificateReport, now time.Time) string {
	const never = 9999 // the year that stands for no end in X.509
	switch days := int(r.NotAfter.Sub(now).Hours() / 24); {
	case r.NotAfter.Year() == never:
		return "without end"
	case now.After(r.NotAfter):
		return "EXPIRED on " + localTime(r.NotAfter)
	case now.Before(r.NotBefore):
		return "NOT YET, from " + localTime(r.NotBefore)
	default:
		return fmt.Sprintf("until %s (%s)", localTime(r.NotAfter), counted(days, "day", "days"))
	}
}
