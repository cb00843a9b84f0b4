package outbox

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"sealpost/agent/ledger"
	"sealpost/certs"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/id"
)

func outgoing(name string, size int64) ledger.Outgoing {
	return ledger.Outgoing{UID: id.Random128[id.UID](), ID: "FL-LAB_DAT_20251008_001", Name: name,
		Source: ledger.Source{Size: size}, Claimed: time.Unix(1759924800, 0).UTC()}
}

// TestWhatTheLaneTakesFits seals the worst that a lane puts into one envelope: it must stay below
// the size of one request.
func TestWhatTheLaneTakesFits(t *testing.T) {
	identity := labIdentity(t)
	// each rune of four bytes is escaped in no way, and needs a PAX header
	worst := strings.Repeat("\U0001F9EC", 63)
	escaped := strings.Repeat("\x01", 250) // each byte is six in JSON
	recipients := make([]envelope.Recipient, envelope.MaxRecipients)
	for i := range recipients {
		key, err := age.GenerateHybridIdentity()
		if err != nil {
			t.Fatal(err)
		}
		recipients[i] = envelope.Recipient{Site: id.Site(
			"RC-" + string(rune('A'+i/26)) + string(rune('A'+i%26))), Key: key.Recipient().String()}
	}
	for _, n := range []int{1, 3, envelope.MaxRecipients} {
		for name, next := range map[string]func() ledger.Outgoing{
			"one as large as may be": func() ledger.Outgoing {
				return outgoing("data", smallContent)
			},
			"many of one byte":    func() ledger.Outgoing { return outgoing("x", 1) },
			"many of 511 bytes":   func() ledger.Outgoing { return outgoing(worst, 511) },
			"names to be escaped": func() ledger.Outgoing { return outgoing(escaped, 513) },
			"names just not long": func() ledger.Outgoing {
				return outgoing(strings.Repeat("n", 80), 3585)
			},
			"names just long": func() ledger.Outgoing {
				return outgoing(strings.Repeat("n", 81), 3585)
			},
			"long plain names": func() ledger.Outgoing {
				return outgoing(strings.Repeat("n", 250), 3585)
			},
			"many of 4 KiB": func() ledger.Outgoing { return outgoing("data.csv", 4096) },
			"a few of 300 KiB": func() ledger.Outgoing {
				return outgoing("data.csv", 300<<10)
			},
		} {
			t.Run(fmt.Sprintf("%s for %d", name, n), func(t *testing.T) {
				sealFull(t, identity, recipients[:n], fill(next, n))
			})
		}
	}
}

// sealFull seals as many messages as fill an envelope.
func sealFull(t *testing.T, identity testIdentity, to []envelope.Recipient,
	messages []ledger.Outgoing) {
	t.Helper()
	req := envelope.SealRequest{Network: identity.network, Envelope: id.Random128[id.Envelope](),
		Sender: "FL-LAB", Address: id.Address{RoutingKey: "fl-lab.dat"}, Recipients: to}
	for i, m := range messages {
		m.ID = id.FormatMessage("FL-LAB", "DATADATA", m.Claimed, int64(i)+1)
		entry := envelope.Entry{Path: m.Name, Size: m.Source.Size, ModTime: m.Claimed,
			Open: func() (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(make([]byte, m.Source.Size))), nil
			}}
		req.Messages = append(req.Messages, envelope.Message{ID: m.ID, UID: m.UID, Sent: m.Claimed,
			Name: m.Name, Type: envelope.TypeFile, FingerprintKey: [32]byte{1},
			Entries: one(entry)})
	}
	var out bytes.Buffer
	sealed, err := envelope.Seal(&out, req, identity.Identity)
	if err != nil {
		t.Fatal(err)
	}
	if sealed.Size > api.SmallSize {
		t.Errorf("%d messages are %d bytes of ciphertext", len(messages), sealed.Size)
	}
}

// fill takes messages as a lane does.
func fill(next func() ledger.Outgoing, recipients int) []ledger.Outgoing {
	list := make([]ledger.Outgoing, api.MaxMessages+1)
	for i := range list {
		list[i] = next()
	}
	return fitting(list, recipients)
}

type testIdentity struct {
	*certs.Identity
	network   id.Hash
	authority *certs.Authority
}

func labIdentity(t testing.TB) testIdentity {
	t.Helper()
	dir := t.TempDir()
	root, err := certs.InitRoot(filepath.Join(dir, "root"), "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "hub"), 0o700); err != nil {
		t.Fatal(err)
	}
	authority, err := certs.InitAuthority(filepath.Join(dir, "hub"), root, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return testIdentity{siteIdentity(t, authority, "FL-LAB"), authority.Network(), authority}
}

func siteIdentity(t testing.TB, authority *certs.Authority, site id.Site) *certs.Identity {
	t.Helper()
	dir := t.TempDir()
	i, err := certs.OpenIdentity(filepath.Join(dir, "identity.key"),
		filepath.Join(dir, "chain.pem"))
	if err != nil {
		t.Fatal(err)
	}
	csr, err := i.CSR()
	if err != nil {
		t.Fatal(err)
	}
	chain, err := authority.IssueSite(csr, site, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := i.SetChain(chain, authority.Network(), time.Now()); err != nil {
		t.Fatal(err)
	}
	return i
}
