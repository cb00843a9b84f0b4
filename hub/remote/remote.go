// Package remote lets an admin administrate a hub from another computer.
//
// It keeps the admin's identity in a folder, and makes the calls of the hub's control socket over
// mutual TLS 1.3 to the port for agents. It promises that nothing is written before the hub has
// answered, that joining can be repeated, and that the certificate is renewed in time. It decides
// nothing: the hub's table has the rights.
package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/BurntSushi/toml"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
)

// ErrUnreached means that the hub did not answer.
var ErrUnreached = errors.New("the hub is not reached")

// The files of an admin's folder. The state folder is private.
const (
	settingsFile = "remote.toml" // config.OfOtherUse knows it, too
	stateFolder  = "state"
	keyFile      = "identity.key"
	chainFile    = "chain.pem"

	maxSettings = 16 << 10 // bytes
)

// settings name the hub and the admin. The fields are the keys of remote.toml.
type settings struct {
	Name    id.Site  `toml:"name"`
	Hub     []string `toml:"hub"`     // "host:port", tried in order
	Network id.Hash  `toml:"network"` // SHA-256 of the root's public key
}

// Options are those of every call.
type Options struct {
	Version string           // of the program
	Now     func() time.Time // by which certificates are judged; default time.Now
}

// Remote is an admin's access to a hub.
type Remote struct {
	settings
	identity *certs.Identity
	client   *api.Client
	now      func() time.Time
}

// Is reports whether a folder is an admin's, made by Join.
func Is(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, settingsFile))
	return err == nil
}

// Open returns the access of an admin's folder. It opens no connection yet.
func Open(dir string, o Options) (*Remote, error) {
	s, err := read(dir)
	if err != nil {
		return nil, err
	}
	identity, err := openIdentity(dir)
	if err != nil {
		return nil, err
	}
	if !identity.HasChain() {
		return nil, reason.Err("remote-not-joined", "dir", dir)
	}
	return open(s, identity, o), nil
}

func open(s settings, identity *certs.Identity, o Options) *Remote {
	if o.Now == nil {
		o.Now = time.Now
	}
	var hosts []string
	for _, address := range s.Hub {
		if host, _, err := net.SplitHostPort(address); err == nil {
			hosts = append(hosts, host)
		}
	}
	tls := certs.ClientTLS(identity, s.Network, hosts...)
	tls.Time = o.Now
	return &Remote{settings: s, identity: identity, now: o.Now, client: api.NewClient(
		api.ClientOptions{Hubs: s.Hub, TLS: tls, UserAgent: "sealpost/" + o.Version})}
}

func openIdentity(dir string) (*certs.Identity, error) {
	state := filepath.Join(dir, stateFolder)
	return certs.OpenIdentity(filepath.Join(state, keyFile), filepath.Join(state, chainFile))
}

// read returns the settings of a folder, strictly.
func read(dir string) (s settings, err error) {
	path := filepath.Join(dir, settingsFile)
	data, err := secretfile.Read(path, maxSettings)
	if err != nil {
		return s, err
	}
	meta, err := toml.Decode(string(data), &s)
	if err == nil && len(meta.Undecoded()) > 0 {
		err = fmt.Errorf("%s is not known", meta.Undecoded()[0])
	}
	if err == nil {
		_, err = id.ParseSite(string(s.Name))
	}
	if err == nil {
		_, err = id.ParseHash(string(s.Network))
	}
	if err == nil && len(s.Hub) == 0 {
		err = errors.New("hub has no address")
	}
	if err != nil {
		return s, reason.Err("remote-settings", "path", path, "why", err)
	}
	return s, nil
}

func (s settings) write(dir string) error {
	var b bytes.Buffer
	b.WriteString("# The hub that sealpost administrates from this folder, and the admin's name.\n")
	if err := toml.NewEncoder(&b).Encode(s); err != nil {
		return err
	}
	return secretfile.Write(filepath.Join(dir, settingsFile), b.Bytes())
}

// Call makes an admin's call, with the path that it has on the hub's control socket. It returns the
// hub's own error, and ErrUnreached if a retry may succeed.
func (r *Remote) Call(ctx context.Context, path string, in, out any) error {
	defer r.client.CloseIdle()
	if !r.identity.Current(r.now()) && r.now().Before(r.identity.NotAfter()) {
		r.renew(ctx) //nolint:errcheck // the certificate is still good, and the call may say more
	}
	return r.explain(path, r.client.Administrate(ctx, path, in, out))
}

// renew gets a new certificate for the same key.
func (r *Remote) renew(ctx context.Context) error {
	csr, err := r.identity.CSR()
	if err != nil {
		return err
	}
	answer, err := r.client.Renew(ctx, api.RenewRequest{CSR: string(csr)})
	if err != nil {
		return err
	}
	defer r.client.CloseIdle() // the next connection presents the new one
	return r.identity.SetAdminChain([]byte(answer.Chain), r.Network, r.Name, r.now())
}

// explain returns the error of a call for the admin.
func (r *Remote) explain(path string, err error) error {
	problem, answered := errors.AsType[*api.Error](err)
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return err
	case !answered:
		return fmt.Errorf("%w: %w", ErrUnreached, reason.Err("remote-not-reached",
			"hosts", r.Hub, "why", err))
	case problem.Code == api.CodeRefused && !problem.Reason.IsZero():
		return problem.Reason.AsError()
	case problem.Code == api.CodeNotFound:
		return reason.Err("daemon-older", "path", path)
	}
	return reason.Err("remote-refused", "name", r.Name, "why", err)
}

// exists reports whether something stands at a path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
