package outbox

import (
	"bytes"
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
	return ledger.Outgoing{UID: id.Random128[id.UID](), ID: "FL-LAB_DAT_20251008_001", Name: name, Source: ledger.Source{Size: size}, Claimed: time.Unix(1759924800, 0).UTC()}
}

// TestWhatTheLaneTakesFits seals the worst that a lane puts into one envelope: it must stay below the size of one request.
func TestWhatTheLaneTakesFits(t *testing.T) {
	identity := labIdentity(t)
	worst := strings.Repeat("\U0001F9EC", 63) // each rune of four bytes is escaped in no way, and needs a PAX header
	escaped := strings.Repeat("\x01", 250)    // each byte is six in JSON
	for name, messages := range map[string][]ledger.Outgoing{
		"one as large as may be": {outgoing("data", smallContent)},
		"many of one byte":       fill(func() ledger.Outgoing { return outgoing("x", 1) }),
		"many of 511 bytes":      fill(func() ledger.Outgoing { return outgoing(worst, 511) }),
		"names to be escaped":    fill(func() ledger.Outgoing { return outgoing(escaped, 513) }),
		"many of 4 KiB":          fill(func() ledger.Outgoing { return outgoing("data.csv", 4096) }),
		"a few of 300 KiB":       fill(func() ledger.Outgoing { return outgoing("data.csv", 300<<10) }),
	} {
		t.Run(name, func(t *testing.T) {
			req := envelope.SealRequest{Network: identity.network, Envelope: id.Random128[id.Envelope](), Sender: "FL-LAB", Address: id.Address{RoutingKey: "fl-lab.dat"}}
			for i := range envelope.MaxRecipients {
				key, err := age.GenerateHybridIdentity()
				if err != nil {
					t.Fatal(err)
				}
				req.Recipients = append(req.Recipients, envelope.Recipient{Site: id.Site("RC-" + string(rune('A'+i/26)) + string(rune('A'+i%26))), Key: key.Recipient().String()})
			}
			for i, m := range messages {
				m.ID = id.FormatMessage("FL-LAB", "DATADATA", m.Claimed, int64(i)+1)
				entry := envelope.Entry{Path: m.Name, Size: m.Source.Size, ModTime: m.Claimed, Open: func() (io.ReadCloser, error) {
					return io.NopCloser(bytes.NewReader(make([]byte, m.Source.Size))), nil
				}}
				req.Messages = append(req.Messages, envelope.Message{ID: m.ID, UID: m.UID, Sent: m.Claimed, Name: m.Name, Type: envelope.TypeFile, FingerprintKey: [32]byte{1}, Entries: one(entry)})
			}
			var out bytes.Buffer
			sealed, err := envelope.Seal(&out, req, identity.Identity)
			if err != nil {
				t.Fatal(err)
			}
			if sealed.Size > api.SmallSize {
				t.Errorf("%d messages are %d bytes of ciphertext", len(messages), sealed.Size)
			}
		})
	}
}

// fill takes messages as a lane does.
func fill(next func() ledger.Outgoing) (list []ledger.Outgoing) {
	total := int64(0)
	for {
		m := next()
		total += estimate(m)
		if len(list) == api.MaxMessages || (len(list) > 0 && total > sharedContent) {
			return list
		}
		list = append(list, m)
	}
}

type testIdentity struct {
	*certs.Identity
	network id.Hash
}

func labIdentity(t *testing.T) testIdentity {
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
	i, err := certs.OpenIdentity(filepath.Join(dir, "identity.key"), filepath.Join(dir, "chain.pem"))
	if err != nil {
		t.Fatal(err)
	}
	csr, err := i.CSR()
	if err != nil {
		t.Fatal(err)
	}
	chain, err := authority.IssueSite(csr, "FL-LAB", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := i.SetChain(chain, authority.Network(), time.Now()); err != nil {
		t.Fatal(err)
	}
	return testIdentity{i, authority.Network()}
}
