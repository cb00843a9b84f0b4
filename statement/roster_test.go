package statement

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// updateRoster makes the vector of a roster anew. It is fixed for ever, as the others are.
var updateRoster = flag.Bool("update-roster", false, "make the vector of testdata/roster anew")

const rosterVector = "testdata/roster"

// rosterOf is the roster of the vector, for a network.
func rosterOf(network id.Hash) Roster {
	return Roster{V: 1, Network: network, Number: 7, Signed: now, Ends: now.AddDate(0, 0, 30),
		Required: true,
		Sites: []RosterSite{
			{"CA-RC", id.Hash(strings.Repeat("a", 64)), "receive"},
			{"FL-LAB", digits, "send"},
			{"SF-RC", id.Hash(strings.Repeat("b", 64)), "both"},
		},
		Distrusted: []DistrustedKey{
			{id.Hash(strings.Repeat("c", 64)), "SF-RC", now.AddDate(0, 0, -3)},
		}}
}

func newRoot(t testing.TB) *certs.Root {
	t.Helper()
	root, err := certs.InitRoot(t.TempDir(), "TEST")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// rosterHead is the exact header of a roster of the root.
func rosterHead(t testing.TB, root *certs.Root) string {
	return exactly(t, rosterHeader{Alg: "ES256", Kid: root.Network(), Typ: rosterType})
}

func TestMakeRosterVector(t *testing.T) {
	if !*updateRoster {
		t.Skip("the vector is fixed; -update-roster makes a new one")
	}
	root := newRoot(t)
	jws, err := SignRoster(root, rosterOf(root.Network()))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"roster.jws": jws,
		"root.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
			Bytes: root.Certificate().Raw}))} {
		if err := os.WriteFile(filepath.Join(rosterVector, name), []byte(content),
			0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// rosterOfVector returns the vector, and the verifier of its root, whose key is deleted.
func rosterOfVector(t testing.TB) (jws string, v certs.Verifier) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(rosterVector, "roster.jws"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(rosterVector, "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), certs.NewVerifier(root)
}

// A signed roster stays readable for ever, and is verified by the standard library alone.
func TestRosterVector(t *testing.T) {
	jws, v := rosterOfVector(t)
	got, err := OpenRoster(jws, v)
	if err != nil {
		t.Fatal(err)
	}
	if want := rosterOf(v.Network); !reflect.DeepEqual(got, want) {
		t.Errorf("opened %+v, want %+v", got, want)
	}
	parts := strings.Split(jws, ".")
	signature, err := b64.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(v.Root.PublicKey.(*ecdsa.PublicKey), digest[:],
		new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		t.Error("the standard library does not verify it")
	}
	header, err := b64.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	var h map[string]string
	if err := json.Unmarshal(header, &h); err != nil || len(h) != 3 ||
		h["kid"] != string(v.Network) {
		t.Errorf("header %s: %v", header, err)
	}
}

func TestARosterIsFound(t *testing.T) {
	r := rosterOf(digits)
	for _, name := range []id.Site{"CA-RC", "FL-LAB", "SF-RC"} {
		if s, ok := r.Find(name); !ok || s.Site != name {
			t.Errorf("%s: %v, %v", name, s, ok)
		}
	}
	if _, ok := r.Find("NY-RC"); ok {
		t.Error("a site that is not there is found")
	}
	if r.Distrusts(digits) || !r.Distrusts(r.Distrusted[0].Identity) {
		t.Error("the wrong keys are distrusted")
	}
}

// The number only grows: an older roster, and another one with the same number, are refused.
func TestRostersReplaceOlderOnes(t *testing.T) {
	held := rosterOf(digits)
	with := func(change func(*Roster)) Roster {
		r := rosterOf(digits)
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		next   Roster
		held   *Roster
		isNew  bool
		failed string
	}{
		"the first":      {held, nil, true, ""},
		"the same":       {held, &held, false, ""},
		"the next":       {with(func(r *Roster) { r.Number = 8 }), &held, true, ""},
		"the one before": {with(func(r *Roster) { r.Number = 6 }), &held, false, "roster-older"},
		"the same, extended": {with(func(r *Roster) { r.Ends = r.Ends.Add(time.Second) }), &held,
			false, "roster-twice"},
		"the same, with fewer sites": {with(func(r *Roster) { r.Sites = r.Sites[1:] }), &held,
			false, "roster-twice"},
	} {
		t.Run(name, func(t *testing.T) {
			isNew, err := c.next.Replaces(c.held)
			if isNew != c.isNew || (err != nil) != (c.failed != "") ||
				err != nil && string(reason.Of(err).Code) != c.failed {
				t.Errorf("%v, %v", isNew, err)
			}
		})
	}
}

// Neither will SignRoster sign such a roster, nor OpenRoster take one that was signed all the same.
func TestHostileRosters(t *testing.T) {
	root := newRoot(t)
	v := certs.NewVerifier(root.Certificate())
	for name, c := range map[string]struct {
		spoil func(r *Roster)
		word  string
	}{
		"another version":   {func(r *Roster) { r.V = 2 }, "newer sealpost"},
		"no network":        {func(r *Roster) { r.Network = "" }, "network"},
		"number 0":          {func(r *Roster) { r.Number = 0 }, "number"},
		"a negative number": {func(r *Roster) { r.Number = -1 }, "number"},
		"a huge number":     {func(r *Roster) { r.Number = 1 << 53 }, "number"},
		"no time":           {func(r *Roster) { r.Signed = time.Time{} }, "signed"},
		"a local time":      {func(r *Roster) { r.Signed = now.In(time.FixedZone("", 60)) }, "UTC"},
		"parts of a second": {func(r *Roster) { r.Ends = r.Ends.Add(1) }, "whole seconds"},
		"no age":            {func(r *Roster) { r.Ends = r.Signed }, "ends"},
		"too old an age":    {func(r *Roster) { r.Ends = now.AddDate(2, 0, 0) }, "ends"},
		"no such site":      {func(r *Roster) { r.Sites[0].Site = "../x" }, "site"},
		"no identity":       {func(r *Roster) { r.Sites[0].Identity = "" }, "identity"},
		"no role":           {func(r *Roster) { r.Sites[0].Role = "admin" }, "role of CA-RC"},
		"a site twice":      {func(r *Roster) { r.Sites[1].Site = "CA-RC" }, "order"},
		"sites in disorder": {func(r *Roster) { r.Sites[0].Site = "NY-RC" }, "order"},
		"an identity twice": {func(r *Roster) { r.Sites[0].Identity = digits }, "have the same"},
		"a key distrusted twice": {func(r *Roster) {
			r.Distrusted = append(r.Distrusted, r.Distrusted[0])
		}, "order"},
		"a site's key distrusted": {func(r *Roster) { r.Distrusted[0].Identity = digits },
			"on the roster too"},
		"a distrusted key of no site": {func(r *Roster) { r.Distrusted[0].Site = "" }, "site"},
		"distrusted at no time": {func(r *Roster) { r.Distrusted[0].Since = time.Time{} },
			"since"},
	} {
		t.Run(name, func(t *testing.T) {
			r := rosterOf(root.Network())
			c.spoil(&r)
			_, err := SignRoster(root, r)
			wantError(t, err, ErrMalformed, c.word)
			_, err = OpenRoster(craft(t, root, rosterHead(t, root), exactly(t, r)), v)
			wantError(t, err, ErrMalformed, c.word)
		})
	}
}

// Wrong forms, types, keys and networks. The payload is a good one.
func TestForgedRosters(t *testing.T) {
	n, root := newNetwork(t), newRoot(t)
	v := certs.NewVerifier(root.Certificate())
	good, err := SignRoster(root, rosterOf(root.Network()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRoster(good, v); err != nil {
		t.Fatal(err)
	}
	payload := exactly(t, rosterOf(root.Network()))
	head := func(alg, typ string, kid id.Hash) string {
		return exactly(t, rosterHeader{Alg: alg, Kid: kid, Typ: typ})
	}
	parts := strings.Split(good, ".")
	own := rosterHead(t, root)
	for name, c := range map[string]struct {
		jws  string
		err  error
		word string
	}{
		"of another root":  {craft(t, newRoot(t), own, payload), ErrSignature, "does not fit"},
		"signed by a site": {craft(t, n.lab, own, payload), ErrSignature, "does not fit"},
		"as a site's statement": {craft(t, root, headerOf(t, n.lab, rosterType), payload),
			ErrMalformed, "header"},
		"another type": {craft(t, root, head("ES256", "sealpost-receipt-v1", root.Network()),
			payload), ErrMalformed, "sealpost-roster-v1"},
		"no signature": {craft(t, root, head("none", rosterType, root.Network()), payload),
			ErrMalformed, "ES256"},
		"another kid": {craft(t, root, head("ES256", rosterType, n.Network()), payload),
			ErrSignature, "of the network"},
		"of another network": {craft(t, root, own, exactly(t, rosterOf(n.Network()))),
			ErrSignature, "of the network"},
		"empty": {"", ErrMalformed, "three parts"},
		"cut":   {good[:len(good)-1], ErrMalformed, "part 3"},
		"cut payload": {parts[0] + "." + parts[1][:40] + "." + parts[2], ErrMalformed,
			"payload"},
		"with white space": {good + "\n", ErrMalformed, "part 3"},
		"too large":        {strings.Repeat("a", MaxRoster+1), ErrMalformed, "allowed"},
		"an unknown key": {craft(t, root, own, strings.Replace(payload, `"required":true`,
			`"required":true,"more":1`, 1)), ErrMalformed, "payload"},
		"null for no sites": {craft(t, root, own, payload[:strings.Index(payload, `,"sites"`)]+
			`,"sites":null}`), ErrMalformed, "payload"},
		"spare space": {craft(t, root, own, " "+payload), ErrMalformed, "payload"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenRoster(c.jws, v)
			wantError(t, err, c.err, c.word)
		})
	}
	if _, err := SignRoster(root, rosterOf(n.Network())); err == nil {
		t.Error("a root signs for another network")
	}
	// A roster is no statement of a site, whatever the root signs.
	if _, err := Open[Receipt](good, v, now); !errors.Is(err, ErrMalformed) {
		t.Errorf("a roster opens as a receipt: %v", err)
	}
}

// Every flipped bit is found, unless it changes no decoded bit.
func TestEveryBitOfARosterCounts(t *testing.T) {
	jws, v := rosterOfVector(t)
	for n := range len(jws) {
		for bit := range 8 {
			changed := []byte(jws)
			changed[n] ^= 1 << bit
			if _, err := OpenRoster(string(changed), v); err == nil {
				t.Fatalf("byte %d, bit %d: opened", n, bit)
			}
		}
	}
}

// The largest roster opens, and a larger one is not signed.
func TestTheLargestRoster(t *testing.T) {
	root := newRoot(t)
	r := rosterOf(root.Network())
	r.Sites = nil
	fill := func(count int) (string, error) {
		r.Sites = r.Sites[:0]
		for n := range count {
			r.Sites = append(r.Sites, RosterSite{id.Site(fmt.Sprintf("LAB-%05d", n)),
				id.Hash(fmt.Sprintf("%064x", n)), "receive"})
		}
		return SignRoster(root, r)
	}
	jws, err := fill(2500)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRoster(jws, certs.NewVerifier(root.Certificate())); err != nil {
		t.Fatal(err)
	}
	_, err = fill(5000)
	wantError(t, err, ErrMalformed, "allowed")
}

// FuzzRoster gives any payload to the strict parser, signed by the root, and any text.
func FuzzRoster(f *testing.F) {
	jws, fixed := rosterOfVector(f)
	root := newRoot(f)
	v := certs.NewVerifier(root.Certificate())
	own := rosterHead(f, root)
	f.Add(jws)
	f.Add(exactly(f, rosterOf(root.Network())))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(own)))
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := OpenRoster(text, fixed); err == nil &&
			!reflect.DeepEqual(got, rosterOf(fixed.Network)) {
			t.Errorf("opened %q as %+v", text, got)
		}
		got, err := OpenRoster(craft(t, root, own, text), v)
		if err == nil && exactly(t, got) != text {
			t.Errorf("opened %q as %+v", text, got)
		}
		if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrSignature) {
			t.Errorf("an error outside the closed set: %v", err)
		}
	})
}
