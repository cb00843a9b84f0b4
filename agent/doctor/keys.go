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
	"sealpost/internal/id"
	"sealpost/internal/secretfile"
)

// maxKeyFile is more than any key file holds.
const maxKeyFile = 1 << 20

// keys looks at the files that nobody else may read.
func keys(_ context.Context, o Options) (list []Finding) {
	for _, name := range []string{"identity.key", "recipient.key"} {
		path := filepath.Join(o.Config.State, name)
		_, err := secretfile.Read(path, maxKeyFile)
		switch {
		case err == nil:
			list = append(list, ok("key "+name, "only its owner can read it")...)
		case errors.Is(err, secretfile.ErrLoose):
			list = append(list, fail("key "+name, "chmod 600 "+path+"; whoever could read it may have a copy: tell the admin of the hub", "%v", err)...)
		case errors.Is(err, fs.ErrNotExist):
			list = append(list, fail("key "+name, "run 'sealpost agent join' with an invitation; without its old keys a site cannot open what is waiting for it", "%s is missing", path)...)
		default:
			list = append(list, fail("key "+name, "run this as the account under which the agent runs", "%v", err)...)
		}
	}
	return list
}

// certificate looks at how long the site may still connect.
func certificate(_ context.Context, o Options) []Finding {
	const what = "certificate"
	path := filepath.Join(o.Config.State, "chain.pem")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(what, "run 'sealpost agent join' with an invitation from the admin of the hub", "this site has not joined yet")
	}
	if err != nil {
		return fail(what, "run this as the account under which the agent runs", "%v", err)
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return fail(what, "ask the admin of the hub for a new invitation and join again; the keys stay", "%s holds no certificate", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fail(what, "ask the admin of the hub for a new invitation and join again; the keys stay", "%s: %v", path, err)
	}
	if root := lastOf(rest); root != nil && certs.Fingerprint(root.PublicKey) != id.Hash(o.Config.Network) {
		return fail(what, "put the right agent.toml or the right state folder in place", "it is of another network than the one in agent.toml")
	}
	now := time.Now()
	days := int(cert.NotAfter.Sub(now).Hours() / 24)
	switch until := cert.NotAfter.Local().Format(time.DateTime); {
	case now.After(cert.NotAfter):
		return fail(what, "check this computer's clock; if it is right, ask the admin of the hub for a new invitation and join again", "it has ended, at %s", until)
	case now.Before(cert.NotBefore):
		return fail(what, "set this computer's clock right", "it is not valid yet: this computer's clock says %s", now.Local().Format(time.DateTime))
	case now.After(certs.RenewAt(cert).AddDate(0, 0, 7)):
		return warn(what, "let the agent run with a connection to its hub: it renews it by itself", "%d days are left, until %s, and it should have been renewed", days, until)
	default:
		return ok(what, "%d days are left, until %s", days, until)
	}
}

func lastOf(text []byte) (last *x509.Certificate) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			last = cert
		}
	}
	return last
}
