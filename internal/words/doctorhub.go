package words

import (
	"fmt"
	"time"

	"sealpost/internal/id"
)

// Who answers at the hub's address.

// HubAnswers says that the hub itself does.
func HubAnswers(proxy string) Verdict {
	return verdict("", "it answers%s, and is of this network", Through(proxy))
}

// StrangerAnswers says that somebody else does.
func StrangerAnswers(address, proxy, issuer, product string) Verdict {
	return verdict(PassUninspected(address), "%s", Stranger(address, proxy, issuer, product))
}

// ProxyShutsOut says that a proxy lets nothing through.
func ProxyShutsOut(proxy string, status int) Verdict {
	says, do := ProxyRefuses(proxy, status)
	return verdict(do, "%s", says)
}

// NameUnknown says that its name leads nowhere.
func NameUnknown(why error) Verdict {
	return verdict("check the address in agent.toml, and whether this computer's name service works", "its name is not known here: %v", why)
}

// NotTLS says that something else listens there.
func NotTLS(proxy string) Verdict {
	return verdict("check the port in agent.toml", "what answers%s does not speak TLS", Through(proxy))
}

// NobodyAnswers says that nothing comes back.
func NobodyAnswers(proxy string, patience time.Duration) Verdict {
	return verdict("ask whoever runs the firewall to allow outgoing connections there; if they are, ask the admin of the hub", "nothing answers%s within %s", Through(proxy), patience)
}

// HubUnreachable says that it cannot be reached for another reason.
func HubUnreachable(proxy string, why error) Verdict {
	return verdict("check this computer's network, then ask the admin of the hub whether it runs", "it cannot be reached%s: %v", Through(proxy), why)
}

// What the hub thinks of this site.

// NotAskedCertificate says that it is not asked without a certificate.
func NotAskedCertificate() Verdict {
	return verdict("see to the certificate first", "it is not asked, because this site has no certificate that is valid now")
}

// NotAskedKeys says that it is not asked without keys.
func NotAskedKeys() Verdict {
	return verdict("see to the keys first", "it is not asked, because this site's keys cannot be used")
}

// Unadmitted says that the hub does not know this site.
func Unadmitted(site, role string, fingerprint id.Hash) Verdict {
	return verdict("ask its admin to run: "+admit(site, role, fingerprint), "the hub does not know this site")
}

// RemovedAtHub says that the hub's admin has removed this site.
func RemovedAtHub(site, role string, fingerprint id.Hash, since time.Time) Verdict {
	return verdict("if that is a mistake, ask its admin to run: "+admit(site, role, fingerprint), "the hub's admin has removed this site%s", at(since))
}

// at names a time, where it is known.
func at(when time.Time) string {
	if when.IsZero() {
		return ""
	}
	return " at " + Time(when)
}

// OtherKeyThere says that the hub knows this site by another key.
func OtherKeyThere(fingerprint id.Hash) Verdict {
	return verdict(otherKeyNext, "the hub knows this site by another key than this computer's, whose fingerprint is %s", fingerprint)
}

// otherKeyNext is what to do where two computers have joined under one name.
const otherKeyNext = "use the computer that joined last; if it is gone for good, ask the admin of the hub to remove this site and to admit this computer's fingerprint"

// admit is the command that lets a site in.
func admit(site, role string, fingerprint id.Hash) string {
	return fmt.Sprintf("sealpost hub admit %s --fingerprint %s --role %s", site, fingerprint, role)
}

// EndedAtHub says that the hub takes this site's certificate for ended.
func EndedAtHub() Verdict {
	return verdict(clockOrJoin, "the hub says that this site's certificate has ended")
}

// HubRefuses says that the hub has another answer.
func HubRefuses(why error) Verdict { return verdict("ask the admin of the hub", "%v", why) }

// Welcomed says that the hub knows this site.
func Welcomed(hub string) Verdict { return verdict("", "%s knows this site", hub) }

// ClockWrong says how wrong this computer's clock is.
func ClockWrong(why error) Verdict { return verdict(setClock, "%v", why) }

// ClockRight says that it is right.
func ClockRight() Verdict { return verdict("", "it agrees with the hub's") }

// What the running agent says.

// AgentStopped says that it does not run, and how to start it.
func AgentStopped(dir string) Verdict {
	return verdict("start it: sealpost agent run --dir "+dir, "it does not run, so nothing is sent or received")
}

// AgentTakenOver says that another computer runs the site.
func AgentTakenOver(dir string, since time.Time) Verdict {
	return verdict("decide which computer it is to be, and stop the agent on the other one; to take the site back: sealpost agent run --dir "+dir, "%s", RunsElsewhere(since))
}

// AgentSilent says that it does not answer this account.
func AgentSilent(why error) Verdict { return verdict(asTheAgent, "%v", why) }

// AgentHindered says that it runs, and why it can do nothing.
func AgentHindered(why error) Verdict { return verdict("do what this line says", "%v", why) }

// AgentApart says that it has no connection.
func AgentApart(trouble string) Verdict {
	return verdict("see what is said of the hub above", "it runs, and is not connected: %s", trouble)
}

// AgentConnected says that it has one.
func AgentConnected(hub string) Verdict {
	return verdict("", "it runs, and is connected to %s", hub)
}
