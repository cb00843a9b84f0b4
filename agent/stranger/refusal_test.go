package stranger

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
)

// What answers at the hub's address, or not, has words of its own: only what was not reached is said to be that.
func TestEachRefusalHasItsOwnWords(t *testing.T) {
	for name, c := range map[string]struct {
		serve      func(net.Conn) // nil: nothing listens
		code, says string
	}{
		"nothing listens": {nil, "", ""},
		"cut":             {func(c net.Conn) { c.Close() }, "cut", "made and cut"},
		"plain HTTP": {func(c net.Conn) {
			c.Read(make([]byte, 1000))                                  //nolint:errcheck // what it says does not matter
			c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\nno TLS\n")) //nolint:errcheck
			c.Close()
		}, "not-tls", "does not speak TLS"},
		"no common version": {func(c net.Conn) {
			server := tls.Server(c, &tls.Config{MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{anyCertificate(t)}})
			server.Handshake() //nolint:errcheck // it cannot succeed
			c.Close()
		}, "tls", "ends the TLS handshake"},
		"another network": {func(c net.Conn) {
			tls.Server(c, &tls.Config{Certificates: []tls.Certificate{anyCertificate(t)}}).Handshake() //nolint:errcheck
			c.Close()
		}, "untrusted", "nothing was sent to it"},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			if c.serve == nil {
				listener.Close()
			}
			defer listener.Close()
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					c.serve(conn)
				}
			}()
			network := id.Hash(strings.Repeat("0", 64))
			client := api.NewClient(api.ClientOptions{Hubs: []string{listener.Addr().String()}, TLS: certs.ClientTLS(new(certs.Identity), network, "127.0.0.1")})
			defer client.CloseIdle()
			_, err = client.Hello(t.Context())
			got, reached := WhyRefused(err)
			if got.Code != c.code || reached != (c.code != "") || !strings.Contains(got.Says, c.says) || strings.Contains(got.Says, "cannot be reached") != got.IsOfLine() {
				t.Errorf("of %v it says %q: %s → %s", err, got.Code, got.Says, got.Do)
			}
		})
	}
}

// Each code of the hub's has words that tell it was reached.
func TestEachAnswerOfTheHubHasWords(t *testing.T) {
	said := map[string]api.Code{}
	for _, code := range []api.Code{api.CodeNoCert, api.CodeBusy, api.CodeInternal, api.CodeFull, api.CodeNotAllowed, api.CodeConflict} {
		r, reached := WhyRefused(&api.Error{Code: code, Detail: "because", Request: "0123"})
		if !reached || r.Code != string(code) || !strings.Contains(r.Says, "the hub was reached") || r.Do == "" {
			t.Errorf("%s: %+v", code, r)
		}
		if other := said[r.Says]; other != "" {
			t.Errorf("%s and %s have the same words", code, other)
		}
		said[r.Says] = code
	}
	if _, reached := WhyRefused(context.Canceled); reached {
		t.Error("an end of one's own is no refusal")
	}
	if r, _ := WhyRefused(http.ErrSchemeMismatch); r.Code != "not-tls" {
		t.Errorf("plain HTTP: %+v", r)
	}
}

func anyCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
