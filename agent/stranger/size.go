package stranger

import (
	"context"
	"errors"
	"io"
	"net"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// DropsLarge reports whether a call has failed because its first message of TLS was too large for
// the line. The server at the address answers a small one.
func DropsLarge(ctx context.Context, address string, network id.Hash, cause error) bool {
	if !MayBeSize(cause) {
		return false
	}
	seen, err := LookSmall(ctx, address, network)
	return err == nil && seen.Hub
}

// MayBeSize reports whether a call has ended without an answer: in silence, or with a cut.
func MayBeSize(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op != "read" && op.Op != "write" {
		return false // no connection, or an answer
	}
	return op != nil || isTimeout(err) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF)
}

// LargeDropped returns the verdict on a line that drops the large first message of TLS.
func LargeDropped() reason.Verdict {
	return reason.Verdict{Says: reason.New("large-hello-dropped"),
		Do: reason.New("set-small-hello")}
}
