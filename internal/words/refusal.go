package words

import (
	"strings"
)

// Why a hub that was reached does not serve this site.

// Line says a verdict in one line.
func Line(v Verdict) string {
	if v.Do == "" {
		return v.Says
	}
	return v.Says + ": " + v.Do
}

// NameNotInCertificate says that the hub's certificate is for other names than those in agent.toml.
func NameNotInCertificate(wanted, has []string) Verdict {
	return verdict("put the right name into hub in agent.toml and start the agent again, or ask the admin of the hub to add the name to hosts in hub.toml and to start the hub again",
		"the hub was reached under the name %s, and its certificate is for %s", strings.Join(wanted, " or "), strings.Join(has, ", "))
}

// HubCertificateNotNow says that the hub's certificate is not valid by this computer's clock.
func HubCertificateNotNow(why error) Verdict {
	return verdict("check this computer's clock; if it is right, "+askTheHub, "the hub was reached, and its certificate is not valid now (%v)", why)
}

// NotAHub says that what answers has this network's root, and no certificate of a hub.
func NotAHub(why error) Verdict {
	return verdict("check the address in agent.toml, then "+askTheHub, "what answers at the hub's address is not believed, so nothing was sent to it (%v)", why)
}

// CertificateRefused says that the hub does not believe this site's certificate.
func CertificateRefused(detail string) Verdict {
	return verdict(joinAgain+" and join again in this folder", "the hub was reached, and does not accept this site's certificate (%s)", detail)
}

// HubHasNoTime says that the hub asks to come back later.
func HubHasNoTime(detail string) Verdict {
	return verdict("sealpost asks again by itself; if it lasts, "+askTheHub, "the hub was reached, and takes no more requests of this site for now%s", inBrackets(detail))
}

// HubFails says that the hub has an error of its own.
func HubFails(request string) Verdict {
	return verdict(askTheHub+" to look into its log for the request "+request, "the hub was reached, and has failed to answer")
}

// HubHasNoRoom says that the hub's disk is full.
func HubHasNoRoom() Verdict {
	return verdict("ask its admin to make room", "the hub was reached, and its disk is full")
}

// HubForbids says that the hub does not let this site do something.
func HubForbids(detail string) Verdict {
	return verdict(askTheHub, "the hub was reached, and does not allow this%s", inBrackets(detail))
}

// HubAnswersOther says that the hub has an answer for which there are no words.
func HubAnswersOther(detail, request string) Verdict {
	return verdict(askTheHub+" to look into its log for the request "+request, "the hub was reached, and answers: %s", detail)
}

// AnswerNotUnderstood says that no hub of this version answers like that.
func AnswerNotUnderstood(why error) Verdict {
	return verdict("check that agent and hub are of versions that fit, and "+askTheHub, "the hub was reached, and its answer is not understood (%v)", why)
}

// TakenForAnother says that the hub takes this site for another one.
func TakenForAnother(why error) Verdict { return verdict(askTheHub, "%v", why) }

// HubSilent says that a connection is made and no answer comes.
func HubSilent() Verdict {
	return verdict(askTheHub+" whether it is overloaded; if it is not, ask whoever runs the firewall", "the hub cannot be reached: its address takes connections, and no answer comes")
}

// LineCut says that a connection ends before the answer.
func LineCut(why error) Verdict {
	return verdict("sealpost tries again by itself; if it lasts, ask whoever runs the firewall, then the admin of the hub", "the hub cannot be reached: connections to its address are made and cut (%v)", why)
}

// HandshakeRefused says that the other end has ended the TLS handshake.
func HandshakeRefused(why error) Verdict {
	return verdict(askTheHub, "the hub's address was reached, and ends the TLS handshake (%v)", why)
}

// SuiteIsOther says that hub and configuration have different suites.
func SuiteIsOther(hub, configured string) Verdict {
	return verdict("set suite in agent.toml as the hub has it and start the agent again, unless the admin of the hub says otherwise",
		"the hub's network has the suite %s, and agent.toml says %s", hub, configured)
}

func inBrackets(detail string) string {
	if detail == "" {
		return ""
	}
	return " (" + detail + ")"
}
