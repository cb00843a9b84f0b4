package stranger

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// Refusal is the reason why a hub that was reached does not serve this site. It is an error.
type Refusal struct {
	Code string // stable, for machines
	reason.Verdict
}

func (r Refusal) Error() string { return r.Line().String() }

// IsOfLine reports whether the hub itself may not have been reached. A firewall on the way may be
// silent or cut connections.
func (r Refusal) IsOfLine() bool { return r.Code == "cut" || r.Code == "silent" }

// Site is a site that was refused.
type Site struct {
	Name         id.Site
	Role         string
	Key          id.Hash   // the fingerprint of its identity key
	Expires, Now time.Time // of its certificate; by its clock
}

// admit returns the command that lets the site in.
func (s Site) admit() string {
	return "sealpost hub admit " + string(s.Name) + " --fingerprint " + string(s.Key) +
		" --role " + s.Role
}

// WhyRefused is the function WhyRefused with the answers that depend on the site.
func (s Site) WhyRefused(err error) (Refusal, bool) {
	refused := func(code api.Code, says, do reason.Reason) (Refusal, bool) {
		return Refusal{string(code), reason.Verdict{Says: says, Do: do}}, true
	}
	switch {
	case errors.Is(err, api.ErrNotAdmitted):
		return refused(api.CodeNotAdmitted, reason.New("hub-not-admitted"),
			reason.New("ask-admit", "command", s.admit()))
	case errors.Is(err, api.ErrRemoved):
		return refused(api.CodeRemoved, reason.New("hub-removed-site", "since", removedAt(err)),
			reason.New("ask-admit-again", "command", s.admit()))
	case errors.Is(err, api.ErrOtherKey):
		return refused(api.CodeOtherKey, reason.New("hub-other-key", "site", s.Name,
			"fingerprint", s.Key), reason.New("use-last-computer"))
	case errors.Is(err, api.ErrDistrusted):
		return refused(api.CodeDistrusted, reason.New("hub-distrusts", "fingerprint", s.Key),
			reason.New("join-with-new-key"))
	case errors.Is(err, api.ErrExpired) && s.Now.Before(s.Expires):
		return refused(api.CodeExpired, reason.New("hub-clock-differs", "until", s.Expires),
			askHub())
	case errors.Is(err, api.ErrExpired):
		return refused(api.CodeExpired, reason.New("site-expired", "until", s.Expires), JoinAgain())
	}
	return WhyRefused(err)
}

// OtherKeyAdmitted returns the error of a site that joins, and was admitted with another key.
func (s Site) OtherKeyAdmitted() error {
	return reason.Err("join-other-key", "site", s.Name, "fingerprint", s.Key, "command",
		"sealpost hub remove "+string(s.Name)+" && "+s.admit())
}

// RoleDiffers returns the verdict on a site with another role at the hub.
func (s Site) RoleDiffers(hub string) reason.Verdict {
	return reason.Verdict{Says: reason.New("hub-other-role", "here", s.Role, "hub", hub),
		Do: reason.New("change-role", "command", s.admit())}
}

// removedAt returns the time since which the site is removed; zero if the hub has not sent it.
func removedAt(err error) time.Time {
	if problem, ok := errors.AsType[*api.Error](err); ok {
		return problem.Since
	}
	return time.Time{}
}

// SuiteDiffers returns the refusal of a hub whose network has another suite than agent.toml.
func SuiteDiffers(hub, configured string) Refusal {
	return Refusal{"suite", reason.Verdict{
		Says: reason.New("hub-other-suite", "hub", hub, "here", configured),
		Do:   reason.New("set-suite")}}
}

func askHub() reason.Reason { return reason.New("ask-hub-admin") }

func askHubLog(request string) reason.Reason {
	return reason.New("ask-hub-log", "request", request)
}

// JoinAgain is the remedy for a certificate that is of no use any more.
func JoinAgain() reason.Reason { return reason.New("join-again") }

// WhyRefused returns the refusal of a hub, or of another server at its address. It returns false if
// none was reached.
func WhyRefused(err error) (Refusal, bool) {
	if own, ok := errors.AsType[Refusal](err); ok {
		return own, true
	}
	if r, ok := byCertificate(err); ok {
		return r, true
	}
	if problem, ok := errors.AsType[*api.Error](err); ok {
		return Refusal{string(problem.Code), byHub(problem)}, true
	}
	return byLine(err)
}

func byCertificate(err error) (Refusal, bool) {
	if name, ok := errors.AsType[*certs.NameError](err); ok {
		return Refusal{"name", reason.Verdict{
			Says: reason.New("hub-other-name", "wanted", name.Wanted, "has", name.Has),
			Do:   reason.New("fix-hub-name")}}, true
	}
	switch {
	case errors.Is(err, certs.ErrNotValidNow):
		return Refusal{"hub-certificate-time", reason.Verdict{
			Says: reason.New("hub-not-valid-now", "why", err),
			Do:   reason.New("check-clock-then-ask")}}, true
	case errors.Is(err, certs.ErrUntrusted):
		return Refusal{"untrusted", reason.Verdict{
			Says: reason.New("hub-untrusted", "why", err),
			Do:   reason.New("check-address-then-ask")}}, true
	}
	return Refusal{}, false
}

func byHub(problem *api.Error) reason.Verdict {
	switch problem.Code {
	case api.CodeNoCert:
		return reason.Verdict{Says: reason.New("hub-refuses-certificate", "detail", problem.Detail),
			Do: JoinAgain()}
	case api.CodeBusy, api.CodeUncertain:
		return reason.Verdict{Says: reason.New("hub-busy", "detail", problem.Detail),
			Do: reason.New("wait-then-ask")}
	case api.CodeInternal:
		return reason.Verdict{Says: reason.New("hub-fails"), Do: askHubLog(problem.Request)}
	case api.CodeFull:
		return reason.Verdict{Says: reason.New("hub-disk-full"), Do: reason.New("ask-hub-room")}
	case api.CodeNotAllowed:
		return reason.Verdict{Says: reason.New("hub-forbids", "detail", problem.Detail),
			Do: askHub()}
	}
	return reason.Verdict{Says: reason.New("hub-answers-other", "detail", problem.Error()),
		Do: askHubLog(problem.Request)}
}

func byLine(err error) (Refusal, bool) {
	if other, ok := errors.AsType[*api.OtherSiteError](err); ok {
		return Refusal{"other-site", reason.Verdict{
			Says: reason.New("hub-takes-for-other", "taken", fmt.Sprintf("%.40s", other.Taken),
				"site", other.Site),
			Do: askHub()}}, true
	}
	var plain tls.RecordHeaderError
	var op *net.OpError
	network, ok := errors.AsType[net.Error](err)
	silent := Refusal{"silent", reason.Verdict{Says: reason.New("hub-silent"),
		Do: reason.New("ask-overload")}}
	switch {
	case errors.Is(err, api.ErrAnswer):
		return Refusal{"answer", reason.Verdict{Says: reason.New("hub-answer-unknown", "why", err),
			Do: reason.New("check-versions")}}, true
	case errors.As(err, &plain), errors.Is(err, http.ErrSchemeMismatch):
		return Refusal{"not-tls", NotTLS("")}, true
	case errors.Is(err, api.ErrStalled):
		return silent, true
	case errors.As(err, &op):
		return byOperation(op, err)
	case ok && network.Timeout(): // of the handshake: a dial's has an operation
		return silent, true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return cut(err), true
	}
	return Refusal{}, false
}

func byOperation(op *net.OpError, err error) (Refusal, bool) {
	switch op.Op {
	case "remote error": // an alert of TLS
		return Refusal{"tls", reason.Verdict{Says: reason.New("hub-ends-handshake", "why", op.Err),
			Do: askHub()}}, true
	case "read", "write":
		return cut(err), true
	}
	return Refusal{}, false
}

func cut(err error) Refusal {
	return Refusal{"cut", reason.Verdict{Says: reason.New("line-cut", "why", err),
		Do: reason.New("wait-then-ask-firewall")}}
}

// NotTLS returns the verdict on a server that does not speak TLS.
func NotTLS(proxy string) reason.Verdict {
	return reason.Verdict{Says: reason.New("hub-not-tls", "proxy", proxy),
		Do: reason.New("check-port")}
}

// Unreachable returns the verdict on an address without an answer.
func Unreachable(proxy string, err error) reason.Verdict {
	return reason.Verdict{Says: reason.New("hub-unreachable", "proxy", proxy,
		"why", lineTrouble(err)),
		Do: reason.New("check-network-then-ask")}
}

// ByProxy returns the verdict on a proxy that lets no connection through.
func ByProxy(err *api.ProxyError) reason.Verdict {
	if err.Status == http.StatusProxyAuthRequired {
		return reason.Verdict{Says: reason.New("proxy-password", "proxy", err.Proxy),
			Do: reason.New("set-proxy-password", "proxy", err.Proxy)}
	}
	return reason.Verdict{
		Says: reason.New("proxy-refuses", "proxy", err.Proxy, "status", err.Status),
		Do:   reason.New("ask-proxy-admin")}
}
