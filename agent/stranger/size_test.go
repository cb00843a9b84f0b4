package stranger

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"sealpost/hub/api"
)

// Only a call without an answer may have failed because of its size.
func TestWhichErrorsMayBeOfTheSize(t *testing.T) {
	expired, end := context.WithTimeout(t.Context(), -time.Second)
	defer end()
	for err, want := range map[error]bool{
		io.EOF: true,
		&url.Error{Op: "Get", URL: "https://hub", Err: io.ErrUnexpectedEOF}: true,
		expired.Err(): true,
		&net.OpError{Op: "read", Err: errors.New("reset")}:                true,
		&net.OpError{Op: "dial", Err: expired.Err()}:                      false,
		&net.OpError{Op: "proxyconnect", Err: expired.Err()}:              false,
		&net.OpError{Op: "remote error", Err: errors.New("alert")}:        false,
		fmt.Errorf("hello: %w", x509.HostnameError{Host: "localhost"}):    false,
		tls.RecordHeaderError{Msg: "no TLS"}:                              false,
		&api.Error{Code: api.CodeBusy}:                                    false,
		&net.DNSError{Err: "no such host", Name: "hub", IsNotFound: true}: false,
	} {
		if got := MayBeSize(err); got != want {
			t.Errorf("%v: %t", err, got)
		}
	}
}
