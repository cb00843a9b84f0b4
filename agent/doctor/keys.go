package doctor

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sealpost/certs"
	"sealpost/envelope"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
)

// maxKeyFile bounds the bytes read of a key file, which is smaller.
const maxKeyFile = 1 << 20

// keys checks the private keys. The recipient key of a site that only sends may be missing, and
// its agent starts with a good one only.
func keys(_ context.Context, o Options) []Finding {
	if !holdsKeys(o) {
		return nil // a finding of folders, or of certificate
	}
	list := key("identity.key", identityOf(o), reason.New("restore-identity"), o)
	if o.Config.Receives() || exists(o, "recipient.key") {
		list = append(list, key("recipient.key", recipientOf(o), reason.New("restore-recipient"),
			o)...)
	}
	return list
}

// holdsKeys reports whether the state folder has anything of a site. Otherwise its disk may not be
// mounted.
func holdsKeys(o Options) bool { return exists(o, "identity.key") || exists(o, "chain.pem") }

// exists reports whether the state folder has a file, or cannot be looked into.
func exists(o Options, name string) bool {
	_, err := os.Lstat(filepath.Join(o.Config.State, name))
	return !errors.Is(err, fs.ErrNotExist)
}

// key checks a key file. The function use parses it. The remedy is for a lost key of a site that
// has joined.
func key(name string, use func(text []byte) error, remedy reason.Reason, o Options) []Finding {
	check, path := reason.New("check-key", "name", name), filepath.Join(o.Config.State, name)
	text, err := secretfile.Read(path, maxKeyFile)
	switch {
	case errors.Is(err, secretfile.ErrLoose):
		return fail(check, reason.Of(err), reason.New("close-key-as-said"))
	case errors.Is(err, fs.ErrNotExist) && (exists(o, "chain.pem") || exists(o, "ledger.db")):
		return fail(check, missing(path), remedy)
	case errors.Is(err, fs.ErrNotExist):
		return fail(check, missing(path), reason.New("join-makes-keys"))
	case err != nil:
		return fail(check, reason.Of(err), asAgent())
	}
	if err := use(text); err != nil {
		return fail(check, reason.Of(err), reason.New("restore-key"))
	}
	return good(check, reason.New("key-private"))
}

// missing is the reason of a file or folder that is gone.
func missing(path string) reason.Reason { return reason.New("missing", "path", path) }

// identityOf checks that a file holds the identity of the site's certificate, if that is good.
func identityOf(o Options) func([]byte) error {
	return func([]byte) error {
		if certificateOf(o) == nil {
			return nil // a finding of certificate
		}
		_, err := open(o)
		return err
	}
}

// recipientOf checks that a file holds a key of the network's suite.
func recipientOf(o Options) func([]byte) error {
	return func(text []byte) error {
		if _, err := envelope.ParseKeys(text, o.Config.Suite); err != nil {
			return reason.Err("recipient-key",
				"path", filepath.Join(o.Config.State, "recipient.key"), "why", err)
		}
		return nil
	}
}

func open(o Options) (*certs.Identity, error) {
	return certs.OpenIdentity(filepath.Join(o.Config.State, "identity.key"),
		filepath.Join(o.Config.State, "chain.pem"))
}

// certificateOf returns the site's certificate; nil if it is missing or damaged.
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

// certificate checks the site's certificate and its remaining time.
func certificate(_ context.Context, o Options) []Finding {
	check := reason.New("check-certificate")
	path := filepath.Join(o.Config.State, "chain.pem")
	if !exists(o, "") {
		return nil // a finding of folders
	}
	if !holdsKeys(o) {
		return fail(check, reason.New("state-without-keys", "state", o.Config.State),
			reason.New("mount-state"))
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && exists(o, "ledger.db") { // an agent has run here
		return fail(check, missing(path), reason.New("restore-certificate"))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fail(check, reason.New("not-joined-yet"), reason.New("join-with-invitation"))
	}
	if err != nil {
		return fail(check, reason.Of(err), asAgent())
	}
	cert := certificateOf(o)
	if cert == nil {
		return fail(check, reason.New("no-certificate-in", "path", path), reason.New("join-anew"))
	}
	if root := lastOf(text); root != nil && !root.Equal(cert) &&
		certs.Fingerprint(root.PublicKey) != id.Hash(o.Config.Network) {
		return fail(check, reason.New("certificate-other-network"),
			reason.New("fix-state-or-config"))
	}
	now := time.Now()
	days := int(cert.NotAfter.Sub(now).Hours() / 24)
	switch {
	case now.After(cert.NotAfter):
		return fail(check, reason.New("certificate-expired", "until", cert.NotAfter),
			reason.New("check-clock-or-join"))
	case now.Before(cert.NotBefore):
		return fail(check, reason.New("certificate-not-yet", "now", now), setClock())
	case now.After(certs.RenewAt(cert).AddDate(0, 0, 7)):
		return warn(check, reason.New("certificate-late", "days", days, "until", cert.NotAfter),
			reason.New("let-it-renew"))
	}
	return good(check, reason.New("certificate-good", "days", days, "until", cert.NotAfter))
}

// setClock is the remedy for this computer's clock.
func setClock() reason.Reason { return reason.New("set-clock") }

func lastOf(text []byte) (last *x509.Certificate) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			last = cert
		}
	}
	return last
}
