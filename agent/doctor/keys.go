package doctor

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sealpost/certs"
	"sealpost/envelope"
	"sealpost/internal/id"
	"sealpost/internal/secretfile"
	"sealpost/internal/words"
)

// maxKeyFile is more than any key file holds.
const maxKeyFile = 1 << 20

// keys looks at the files that nobody else may read.
func keys(_ context.Context, o Options) []Finding {
	list := key("identity.key", identityOf(o), words.IdentityMissing, o)
	if o.Config.Receives() {
		list = append(list, key("recipient.key", recipientOf(o), words.RecipientMissing, o)...)
	}
	return list
}

// key says how one of them is. use makes sure that it holds a key; lost is what is said when a site that has joined lacks it.
func key(name string, use func(text []byte) error, lost func(path string) words.Verdict, o Options) []Finding {
	what, path := "key "+name, filepath.Join(o.Config.State, name)
	text, err := secretfile.Read(path, maxKeyFile)
	switch {
	case errors.Is(err, secretfile.ErrLoose):
		return fail(what, words.KeyLoose(err))
	case errors.Is(err, fs.ErrNotExist) && joined(o):
		return fail(what, lost(path))
	case errors.Is(err, fs.ErrNotExist):
		return fail(what, words.KeyNotMade(path))
	case err != nil:
		return fail(what, words.KeyUnreadable(err))
	}
	if err := use(text); err != nil {
		return fail(what, words.KeySpoiled(err))
	}
	return ok(what, words.KeyTight())
}

// joined tells whether the site has a certificate, good or bad.
func joined(o Options) bool {
	_, err := os.Lstat(filepath.Join(o.Config.State, "chain.pem"))
	return err == nil
}

// identityOf makes sure that a file holds this site's identity, as far as there is a good certificate to hold against it.
func identityOf(o Options) func([]byte) error {
	return func([]byte) error {
		if certificateOf(o) == nil {
			return nil // said of the certificate
		}
		_, err := open(o)
		return err
	}
}

// recipientOf makes sure that a file holds a key of the network's suite.
func recipientOf(o Options) func([]byte) error {
	return func(text []byte) error {
		if _, err := envelope.ParseKeys(text, o.Config.Suite); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(o.Config.State, "recipient.key"), err)
		}
		return nil
	}
}

func open(o Options) (*certs.Identity, error) {
	return certs.OpenIdentity(filepath.Join(o.Config.State, "identity.key"), filepath.Join(o.Config.State, "chain.pem"))
}

// certificateOf returns the site's certificate; nil when there is none that can be read.
func certificateOf(o Options) *x509.Certificate {
	text, err := os.ReadFile(filepath.Join(o.Config.State, "chain.pem"))
	block, _ := pem.Decode(text)
	if err != nil || block == nil {
		return nil
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return cert
}

// certificate looks at how long the site may still connect.
func certificate(_ context.Context, o Options) []Finding {
	const what = "certificate"
	path := filepath.Join(o.Config.State, "chain.pem")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(what, words.NoCertificate())
	}
	if err != nil {
		return fail(what, words.CertificateUnreadable(err))
	}
	cert := certificateOf(o)
	if cert == nil {
		return fail(what, words.CertificateSpoiled(path))
	}
	if root := lastOf(text); root != nil && !root.Equal(cert) && certs.Fingerprint(root.PublicKey) != id.Hash(o.Config.Network) {
		return fail(what, words.OtherNetwork())
	}
	now := time.Now()
	days := int(cert.NotAfter.Sub(now).Hours() / 24)
	switch {
	case now.After(cert.NotAfter):
		return fail(what, words.CertificateEnded(cert.NotAfter))
	case now.Before(cert.NotBefore):
		return fail(what, words.CertificateEarly(now))
	case now.After(certs.RenewAt(cert).AddDate(0, 0, 7)):
		return warn(what, words.CertificateLate(days, cert.NotAfter))
	}
	return ok(what, words.CertificateGood(days, cert.NotAfter))
}

func lastOf(text []byte) (last *x509.Certificate) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			last = cert
		}
	}
	return last
}
