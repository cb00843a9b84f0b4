package stranger

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"sealpost/internal/reason"
)

// Users read the cause of a failed connection, in their language.
func TestTheCauseOfAFailedConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()
	_, refusal := net.Dial("tcp", closed)
	ended, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ended.Done()
	_, timeout := (&net.Dialer{}).DialContext(ended, "tcp", closed)
	for want, err := range map[reason.Code]error{
		"connection-refused": fmt.Errorf("hello: %w", refusal),
		"no-answer":          timeout,
		"no-such-host":       &net.DNSError{Name: "hub.example", IsNotFound: true},
		"host-not-looked-up": &net.DNSError{Name: "hub.example", IsTemporary: true},
		"no-network":         &net.OpError{Op: "dial", Addr: listener.Addr(), Err: noWay[0]},
		"text":               errors.New("another error"),
	} {
		got := Unreachable("", err).Says
		if got.Code != "hub-unreachable" || lineTrouble(err).Code != want {
			t.Errorf("%v: %+v, want %s", err, lineTrouble(err), want)
		}
	}
}
