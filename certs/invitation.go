package certs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/BurntSushi/toml"

	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
)

// ErrInvitation means that an invitation file is not usable.
var ErrInvitation = reason.Err("invitation-unusable")

// Invitation is the file NAME.join with which a site or an admin joins. Headquarters sends it to
// the site's admin. Its secret works once. The fields are the file's keys.
type Invitation struct {
	Site    id.Site   `toml:"site"`    // the name of the new site or admin
	Role    string    `toml:"role"`    // send, receive or both; admin, operator or viewer
	Hub     []string  `toml:"hub"`     // "host:port", tried in order
	Network id.Hash   `toml:"network"` // SHA-256 of the root's public key, the site's pin
	Suite   string    `toml:"suite"`   // hybrid or x25519
	Secret  string    `toml:"secret"`  // see NewSecret
	Expires time.Time `toml:"expires"` // UTC
	// "required" if the site trusts only sites on the roster; else empty
	Roster string `toml:"roster,omitempty"`
	// Fingerprints has the identities of sites that the new one may meet. The hub's admin gives
	// them, so that the hub cannot show others later. Older agents refuse an invitation with them.
	Fingerprints map[id.Site]id.Hash `toml:"fingerprints,omitempty"`
}

// The roles of admins on other computers. A viewer reads only. An operator also holds and releases,
// requeues and discards; it changes no site, no route and no limit.
const (
	RoleAdmin    = "admin"
	RoleOperator = "operator"
	RoleViewer   = "viewer"
)

// IsAdminRole reports whether a role is an admin's and no site's.
func IsAdminRole(role string) bool {
	return role == RoleAdmin || role == RoleOperator || role == RoleViewer
}

const maxInvitation = 128 << 10 // bytes, with the fingerprints of a thousand sites

const invitationHead = `# This is an invitation to join a sealpost network as the site %s.
#
# KEEP IT SECRET: the first computer that uses this file joins under that name. Send it to the
# site's admin over a channel that you trust. On the site's computer, run
#
#     sealpost agent join %s.join --dir DIR
#
# and delete it. It works once, and only until the time below.

`

const adminInvitationHead = `# This is an invitation to administrate a sealpost hub as %s.
#
# KEEP IT SECRET: the first computer that uses this file gets that right. Send it to the admin over
# a channel that you trust. On the admin's computer, run
#
#     sealpost hub join %s.join --dir DIR
#
# and delete it. It works once, and only until the time below.

`

// Write writes the invitation to path, readable by its owner only, in place of an earlier one.
func (inv Invitation) Write(path string) error {
	text, err := inv.Text()
	if err != nil {
		return err
	}
	return secretfile.Write(path, text)
}

// Text returns the content of the invitation's file.
func (inv Invitation) Text() ([]byte, error) {
	if err := inv.validate(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	head := invitationHead
	if IsAdminRole(inv.Role) {
		head = adminInvitationHead
	}
	fmt.Fprintf(&b, head, inv.Site, inv.Site)
	enc := toml.NewEncoder(&b)
	inv.Expires = inv.Expires.UTC().Truncate(time.Second)
	if err := enc.Encode(inv); err != nil {
		return nil, fmt.Errorf("write invitation: %w", err)
	}
	return b.Bytes(), nil
}

// ReadInvitation reads the invitation at path, strictly. Others may be able to read the file: it
// came by mail or on a stick, and works once. It may have expired: the hub's clock decides.
func ReadInvitation(path string) (Invitation, error) {
	f, err := os.Open(path)
	if err != nil {
		return Invitation{}, reason.Err("invitation-unread", "path", path, "why", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxInvitation+1))
	if err != nil {
		return Invitation{}, reason.Err("invitation-unread", "path", path, "why", err)
	}
	inv, err := parseInvitation(data)
	if err != nil {
		return Invitation{}, reason.Err("invitation-unread", "path", path, "why", err)
	}
	return inv, nil
}

func parseInvitation(data []byte) (Invitation, error) {
	if len(data) > maxInvitation {
		return Invitation{}, reason.Err("invitation-too-large", "cause", ErrInvitation,
			"limit", maxInvitation)
	}
	var inv Invitation
	meta, err := toml.Decode(string(data), &inv)
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		return Invitation{}, reason.Err("invitation-syntax", "cause", ErrInvitation,
			"line", syntax.Position.Line, "why", syntax.Message)
	}
	if err != nil {
		return Invitation{}, fmt.Errorf("%w: %w", ErrInvitation, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return Invitation{}, reason.Err("invitation-newer", "cause", ErrInvitation,
			"key", unknown[0])
	}
	return inv, inv.validate()
}

func (inv Invitation) validate() error {
	_, badSite := id.ParseSite(string(inv.Site))
	_, badNetwork := id.ParseHash(string(inv.Network))
	for _, rule := range []struct {
		key  string
		fine bool
		want string
	}{
		{"site", badSite == nil, "a name such as FL-LAB"},
		{"role", inv.Role == "send" || inv.Role == "receive" || inv.Role == "both" ||
			IsAdminRole(inv.Role), "send, receive, both, admin, operator or viewer"},
		{"hub", areHubs(inv.Hub), "1 to 16 addresses such as \"hub.example.org:7443\""},
		{"network", badNetwork == nil, "64 hexadecimal digits"},
		{"suite", inv.Suite == "hybrid" || inv.Suite == "x25519", "hybrid or x25519"},
		{"secret", isSecret(inv.Secret), "43 characters of base64url"},
		{"roster", inv.Roster == "" || inv.Roster == "required", "required"},
		{"expires", !inv.Expires.IsZero(), "a time such as 2025-10-08T12:00:00Z"},
		{"fingerprints", areFingerprints(inv.Fingerprints),
			"names of sites with 64 hexadecimal digits each"},
	} {
		if !rule.fine {
			return reason.Err("invitation-damaged", "cause", ErrInvitation, "key", rule.key,
				"want", rule.want)
		}
	}
	return nil
}

func areFingerprints(list map[id.Site]id.Hash) bool {
	for site, fingerprint := range list {
		_, badSite := id.ParseSite(string(site))
		_, badHash := id.ParseHash(string(fingerprint))
		if badSite != nil || badHash != nil {
			return false
		}
	}
	return true
}

func areHubs(hubs []string) bool {
	for _, hub := range hubs {
		host, port, err := net.SplitHostPort(hub)
		number, badPort := strconv.ParseUint(port, 10, 16)
		if err != nil || badPort != nil || number == 0 || net.ParseIP(host) == nil &&
			!hostPattern.MatchString(host) {
			return false
		}
	}
	return len(hubs) >= 1 && len(hubs) <= 16
}

// String omits the secret, so that no log or error shows it.
func (inv Invitation) String() string {
	return fmt.Sprintf("invitation of %s (%s) to network %.16s… until %s", inv.Site, inv.Role,
		inv.Network, inv.Expires.UTC().Format(time.RFC3339))
}

// GoString omits the secret.
func (inv Invitation) GoString() string { return inv.String() }

// LogValue omits the secret.
func (inv Invitation) LogValue() slog.Value { return slog.StringValue(inv.String()) }
