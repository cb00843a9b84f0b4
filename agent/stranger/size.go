package stranger

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// DropsLarge reports whether a call has failed because its first message of TLS was too large for
// the line. The server at the address answers a small one.
func DropsLarge(ctx context.Context, address string, network id.Hash, cause error) bool {
	var alert tls.RecordHeaderError
	var op *net.OpError
	var proxy *api.ProxyError
	var answer *api.Error
	if errors.As(cause, &alert) || errors.As(cause, &op) && op.Op == "dial" ||
		errors.As(cause, &proxy) || errors.As(cause, &answer) {
		return false // it is no matter of size
	}
	seen, err := LookSmall(ctx, address, network)
	return err == nil && seen.Hub
}

// LargeDropped returns the verdict on a line that drops the large first message of TLS.
func LargeDropped() reason.Verdict {
	return reason.Verdict{Says: reason.New("large-hello-dropped"),
		Do: reason.New("set-small-hello")}
}
