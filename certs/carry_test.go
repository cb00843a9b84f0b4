package certs

import (
	"path/filepath"
	"testing"
	"time"

	"sealpost/internal/durable"
)

// An authority is certified by carried files, and renewed so. The root's key never comes near its
// state folder.
func TestAnAuthorityByCarriedFiles(t *testing.T) {
	now := time.Now()
	dir, state := filepath.Join(t.TempDir(), "root"), filepath.Join(t.TempDir(), "state")
	root, err := InitRoot(dir, "TEST")
	if err != nil {
		t.Fatal(err)
	}
	request, err := under(horse).RequestAuthority(state)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(r *Root, at time.Time) []byte {
		t.Helper()
		chain, err := r.SignAuthority(request, at)
		if err != nil {
			t.Fatal(err)
		}
		return chain
	}
	first, err := under(horse).PutAuthority(state, sign(root, now), now)
	if err != nil || first.Network() != root.Network() {
		t.Fatalf("%v", err)
	}
	lab := filepath.Join(t.TempDir(), "lab")
	i, err := OpenIdentity(lab+".key", lab+".pem")
	if err != nil {
		t.Fatal(err)
	}
	csr, err := i.CSR()
	if err != nil {
		t.Fatal(err)
	}
	// years later: the same key has another certificate, which issues beyond the end of the first
	for _, years := range []int{5, 9, 18} {
		later := now.AddDate(years, 0, 0)
		a, err := under(horse).PutAuthority(state, sign(root, later), later)
		if err != nil {
			t.Fatalf("after %d years: %v", years, err)
		}
		chain, err := a.IssueSite(csr, "FL-LAB", later)
		if err != nil {
			t.Fatalf("after %d years: %v", years, err)
		}
		if err := i.SetChain(chain, root.Network(), later); err != nil {
			t.Errorf("after %d years: %v", years, err)
		}
	}
	present, err := under(horse).OpenAuthority(state)
	if err != nil {
		t.Fatal(err)
	}
	other, err := InitRoot(filepath.Join(t.TempDir(), "other"), "TEST")
	if err != nil {
		t.Fatal(err)
	}
	future := now.AddDate(18, 0, 1)
	for name, c := range map[string]struct {
		chain []byte
		at    time.Time
		says  string
	}{
		"another network": {sign(other, future), future, "of another network"},
		"an older one":    {sign(root, future.AddDate(0, 0, -9)), future, "it ends no later than"},
		"not valid yet":   {sign(root, future), now, "certificate not valid at this time"},
		"expired":         {sign(root, now), future.AddDate(30, 0, 0), "certificate not valid"},
		"no chain":        {[]byte("nothing"), future, "want PEM"},
		"the root alone":  {encodeChain(root.cert), future, "want 2 certificates"},
		"a forged one":    {encodeChain(present.cert, other.cert), future, "does not stand under"},
		"the root twice":  {encodeChain(root.cert, root.cert), future, "path length 0"},
	} {
		if _, err := under(horse).PutAuthority(state, c.chain, c.at); err == nil {
			t.Errorf("%s is taken", name)
		} else {
			wantError(t, err, nil, c.says)
		}
	}
	foreign, err := Passphrases{}.RequestAuthority(filepath.Join(t.TempDir(), "elsewhere"))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := root.SignAuthority(foreign, future)
	if err != nil {
		t.Fatal(err)
	}
	_, err = under(horse).PutAuthority(state, chain, future)
	wantError(t, err, nil, "another issuing key")
	if _, err := root.SignAuthority([]byte("nothing"), future); err == nil {
		t.Error("the root signs nothing")
	}
	if reopened, err := under(horse).OpenAuthority(state); err != nil ||
		!reopened.Issuing().Equal(present.Issuing()) {
		t.Errorf("the present authority has changed: %v", err)
	}

	// a crash came before issuing.pem: the next attempt finishes it
	removeFile(t, filepath.Join(state, issuingCertFile))
	if err := durable.WriteFile(filepath.Join(state, rootCertFile), encodeChain(root.cert),
		0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := under(horse).PutAuthority(state, sign(root, future), future); err != nil {
		t.Error(err)
	}
}
