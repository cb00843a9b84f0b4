package stranger

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/words"
)

// Refusal is why a hub that was reached does not serve this site.
type Refusal struct {
	Code string // stable, for machines
	words.Verdict
}

// IsOfLine reports whether the hub itself need not have been reached: whatever is on the way may be silent or cut connections.
func (r Refusal) IsOfLine() bool { return r.Code == "cut" || r.Code == "silent" }

// WhyRefused returns why the hub does not serve this site, if it, or what answers at its address, was reached at all. What
// the hub says of the site itself is told apart by the caller first.
func WhyRefused(err error) (Refusal, bool) {
	if r, ok := byCertificate(err); ok {
		return r, true
	}
	if problem, ok := errors.AsType[*api.Error](err); ok {
		return byHub(problem), true
	}
	return byLine(err)
}

func byCertificate(err error) (Refusal, bool) {
	if name, ok := errors.AsType[*certs.NameError](err); ok {
		return Refusal{"name", words.NameNotInCertificate(name.Wanted, name.Has)}, true
	}
	switch {
	case errors.Is(err, certs.ErrNotValidNow):
		return Refusal{"hub-certificate-time", words.HubCertificateNotNow(err)}, true
	case errors.Is(err, certs.ErrUntrusted):
		return Refusal{"untrusted", words.NotAHub(err)}, true
	}
	return Refusal{}, false
}

func byHub(problem *api.Error) Refusal {
	says := words.HubAnswersOther(problem.Error(), problem.Request)
	switch problem.Code {
	case api.CodeNoCert:
		says = words.CertificateRefused(problem.Detail)
	case api.CodeBusy, api.CodeUncertain:
		says = words.HubHasNoTime(problem.Detail)
	case api.CodeInternal:
		says = words.HubFails(problem.Request)
	case api.CodeFull:
		says = words.HubHasNoRoom()
	case api.CodeNotAllowed:
		says = words.HubForbids(problem.Detail)
	}
	return Refusal{string(problem.Code), says}
}

func byLine(err error) (Refusal, bool) {
	if other, ok := errors.AsType[*api.OtherSiteError](err); ok {
		return Refusal{"other-site", words.TakenForAnother(other)}, true
	}
	var plain tls.RecordHeaderError
	var op *net.OpError
	late, timed := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, api.ErrAnswer):
		return Refusal{"answer", words.AnswerNotUnderstood(err)}, true
	case errors.As(err, &plain), errors.Is(err, http.ErrSchemeMismatch):
		return Refusal{"not-tls", words.NotTLS("")}, true
	case errors.Is(err, api.ErrStalled):
		return Refusal{"silent", words.HubSilent()}, true
	case errors.As(err, &op):
		return byOperation(op, err)
	case timed && late.Timeout(): // of the handshake: a dial's has an operation
		return Refusal{"silent", words.HubSilent()}, true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Refusal{"cut", words.LineCut(err)}, true
	}
	return Refusal{}, false
}

func byOperation(op *net.OpError, err error) (Refusal, bool) {
	switch op.Op {
	case "remote error": // an alert of TLS
		return Refusal{"tls", words.HandshakeRefused(op.Err)}, true
	case "read", "write":
		return Refusal{"cut", words.LineCut(err)}, true
	}
	return Refusal{}, false
}
