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
	"sealpost/internal/reason"
)

// Each failure at the hub's address has its own reason.
func TestEachRefusalHasItsOwnReason(t *testing.T) {
	for name, c := range map[string]struct {
		serve      func(net.Conn) // nil: nothing listens
		code, says string
	}{
		"nothing listens": {nil, "", ""},
		"cut":             {func(c net.Conn) { c.Close() }, "cut", "made and cut"},
		"plain HTTP": {func(c net.Conn) {
			c.Read(make([]byte, 1000)) //nolint:errcheck // any request
			answer := "HTTP/1.1 400 Bad Request\r\n\r\nno TLS\n"
			c.Write([]byte(answer)) //nolint:errcheck // seen by the client
			c.Close()
		}, "not-tls", "does not speak TLS"},
		"no common version": {func(c net.Conn) {
			server := tls.Server(c, &tls.Config{MaxVersion: tls.VersionTLS12,
				Certificates: []tls.Certificate{anyCertificate(t)}})
			server.Handshake() //nolint:errcheck // it cannot succeed
			c.Close()
		}, "tls", "ends the TLS handshake"},
		"another network": {func(c net.Conn) {
			config := &tls.Config{Certificates: []tls.Certificate{anyCertificate(t)}}
			tls.Server(c, config).Handshake() //nolint:errcheck // it cannot succeed
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
			client := api.NewClient(api.ClientOptions{Hubs: []string{listener.Addr().String()},
				TLS: certs.ClientTLS(new(certs.Identity), network, "127.0.0.1")})
			defer client.CloseIdle()
			_, err = client.Hello(t.Context())
			got, reached := WhyRefused(err)
			says := got.Says.String()
			if got.Code != c.code || reached != (c.code != "") || !strings.Contains(says, c.says) ||
				strings.Contains(says, "cannot be reached") != got.IsOfLine() {
				t.Errorf("of %v it says %q: %s → %s", err, got.Code, says, got.Do)
			}
		})
	}
}

// Each code of the hub has a reason, whose text says that the hub was reached.
func TestEachAnswerOfTheHubHasAReason(t *testing.T) {
	said := map[reason.Code]api.Code{}
	for _, code := range []api.Code{api.CodeNoCert, api.CodeBusy, api.CodeInternal, api.CodeFull,
		api.CodeNotAllowed, api.CodeConflict} {
		r, reached := WhyRefused(&api.Error{Code: code, Detail: "because", Request: "0123"})
		if !reached || r.Code != string(code) || r.Do.IsZero() ||
			!strings.Contains(r.Says.String(), "the hub was reached") {
			t.Errorf("%s: %+v", code, r)
		}
		if other := said[r.Says.Code]; other != "" {
			t.Errorf("%s and %s have the same reason", code, other)
		}
		said[r.Says.Code] = code
	}
	if _, reached := WhyRefused(context.Canceled); reached {
		t.Error("a cancelled call is no refusal")
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
