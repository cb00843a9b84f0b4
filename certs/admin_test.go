package certs

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// adminChain certifies the key of i for the admin ANNA.
func (n network) adminChain(i *Identity) []byte {
	n.t.Helper()
	csr, err := i.CSR()
	if err != nil {
		n.t.Fatal(err)
	}
	chain, err := n.IssueAdmin(csr, "ANNA", now)
	if err != nil {
		n.t.Fatal(err)
	}
	return chain
}

// An admin's certificate is no site's, a site's is no admin's, and neither identity takes the
// other's certificate.
func TestAnAdminIsNoSite(t *testing.T) {
	n := newNetwork(t)
	anna, lab := stranger(t), n.site("ANNA")
	if err := anna.SetAdminChain(n.adminChain(anna), n.Network(), "ANNA", now); err != nil {
		t.Fatal(err)
	}
	v := NewVerifier(n.Root())
	for _, c := range []struct {
		chain []*x509.Certificate
		of    Holder
	}{{anna.Chain()[:2], OfAdmin}, {lab.Chain()[:2], OfSite}} {
		name, of, err := v.Client(c.chain, now)
		if err != nil || name != "ANNA" || of != c.of {
			t.Errorf("it is %s (%d), %v", name, of, err)
		}
		site, err := v.Site(c.chain, now.Add(365*day)) // the kind outranks the time
		if c.of == OfSite {
			wantError(t, err, ErrNotValidNow)
		} else if wantError(t, err, ErrUntrusted); site != "" {
			t.Errorf("an admin is taken for the site %s", site)
		}
	}
	if anna.certificate().Leaf == nil || len(anna.certificate().Certificate) != 2 {
		t.Error("an admin does not present a client's two certificates")
	}
	ofAdmin, ofSite := encodeChain(anna.Chain()...), encodeChain(lab.Chain()...)
	wantError(t, anna.SetChain(ofAdmin, n.Network(), now), ErrUntrusted)
	wantError(t, anna.SetAdminChain(ofAdmin, n.Network(), "BERT", now), ErrUntrusted)
	wantError(t, lab.SetAdminChain(ofSite, n.Network(), "ANNA", now), ErrUntrusted)
	if err := anna.SetAdminChain(ofAdmin, n.Network(), "ANNA", now); err != nil {
		t.Error(err)
	}
	// the same key under both kinds of certificates keeps its kind
	wantError(t, lab.SetAdminChain(n.adminChain(lab), n.Network(), "ANNA", now), ErrUntrusted)
}

func TestAnAdminsIdentityIsOpened(t *testing.T) {
	n := newNetwork(t)
	dir := t.TempDir()
	key, path := filepath.Join(dir, "k.key"), filepath.Join(dir, "chain.pem")
	i, err := OpenIdentity(key, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.SetAdminChain(n.adminChain(i), n.Network(), "ANNA", now); err != nil {
		t.Fatal(err)
	}
	if i, err = OpenIdentity(key, path); err != nil || i.Site() != "ANNA" ||
		!i.NotAfter().After(now.Add(30*24*time.Hour)) {
		t.Fatalf("opened %v, %v", i, err)
	}
}

func TestAnInvitationOfAnAdmin(t *testing.T) {
	inv := invitation()
	inv.Site, inv.Role = "ANNA", RoleViewer
	path := filepath.Join(t.TempDir(), "ANNA.join")
	if err := inv.Write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), "sealpost hub join ANNA.join") ||
		strings.Contains(string(text), "agent join") {
		t.Errorf("%v: the file says %s", err, text)
	}
	if got, err := ReadInvitation(path); err != nil || got.Role != RoleViewer {
		t.Errorf("read %v, %v", got, err)
	}
}
