package words

import "fmt"

// Stranger says who answers where the hub should: a product that inspects TLS, if it names itself, or whoever has issued
// its certificate. The proxy is the one on the way, if any.
func Stranger(address, proxy, issuer, product string) string {
	who := ""
	if product != "" {
		who = ", but a proxy that inspects TLS (" + product + ")"
	}
	shown := "it shows no certificate"
	if issuer != "" {
		shown = fmt.Sprintf("it shows a certificate issued by %q", issuer)
	}
	return fmt.Sprintf("what answers at %s%s is not the hub of this network%s: %s. sealpost believes nobody but the hub, so nothing was sent to it", address, Through(proxy), who, shown)
}

// PassUninspected is what to do about a stranger.
func PassUninspected(address string) string {
	return fmt.Sprintf("show this line to whoever runs the firewall, and ask for connections to %s to pass without inspection; if nothing inspects TLS there, check the address in agent.toml", address)
}

// ProxyRefuses says what a proxy answers instead of letting a connection through, and what to do about it.
func ProxyRefuses(proxy string, status int) (what, do string) {
	if status == 407 {
		return fmt.Sprintf("the proxy %s does not accept the user or the password that it was given, or was given none (407)", proxy),
			fmt.Sprintf("set HTTPS_PROXY=http://USER:PASSWORD@%s where sealpost gets its environment, and start it again; whoever runs the proxy knows both", proxy)
	}
	return fmt.Sprintf("the proxy %s does not let connections to the hub through (it answers %d)", proxy, status),
		"ask whoever runs the proxy to let them through, or name the hub in NO_PROXY if it can be reached without the proxy"
}

// Through names the proxy on the way, if there is one.
func Through(proxy string) string {
	if proxy == "" {
		return ""
	}
	return " through the proxy " + proxy
}
