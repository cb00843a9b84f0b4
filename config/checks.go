package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sealpost/internal/id"
	"sealpost/internal/visible"
)

func siteName(s string) error {
	_, err := id.ParseSite(s)
	return err
}

func networkID(s string) error {
	if _, err := id.ParseHash(s); err != nil {
		return errors.New("want the network's fingerprint, 64 lower-case hexadecimal digits, as " +
			"it stands in the invitation")
	}
	return nil
}

func oneOf(s string, allowed ...string) error {
	if slices.Contains(allowed, s) {
		return nil
	}
	return fmt.Errorf(`want "%s", not %q`, strings.Join(allowed, `" or "`), s)
}

func logLevel(s string) error { return oneOf(s, "debug", "info", "warn", "error") }

func language(s string) error { return oneOf(s, "en", "de") }

func notEmpty(s string) error {
	if s == "" {
		return errors.New("must not be empty")
	}
	return nil
}

// oneLine checks a text for users: characters that act on a terminal are none of it.
func oneLine(s string) error {
	if utf8.RuneCountInString(s) > 200 || !utf8.ValidString(s) || visible.Text(s) != s {
		return errors.New("want one line of at most 200 characters, all of them visible")
	}
	return nil
}

func hubAddresses(addresses []string) error {
	if len(addresses) == 0 {
		return errors.New(`want at least one address of the hub, such as ["hub.example.org:7443"]`)
	}
	for _, a := range addresses {
		host, port, err := net.SplitHostPort(a)
		if err != nil || host == "" || !isPort(port) {
			return fmt.Errorf(`want addresses such as "hub.example.org:7443", not %q`, a)
		}
	}
	return nil
}

func listenAddress(a string) error {
	_, port, err := net.SplitHostPort(a)
	if err != nil || !isPort(port) {
		return fmt.Errorf(`want an address such as ":7443" or "192.0.2.1:7443", not %q`, a)
	}
	return nil
}

// loopback checks an address that only this computer reaches. Its port may be 0.
func loopback(a string) error {
	host, port, err := net.SplitHostPort(a)
	ip := net.ParseIP(host)
	if err != nil || ip == nil || !ip.IsLoopback() || port != "0" && !isPort(port) {
		return fmt.Errorf(`want a loopback address such as "127.0.0.1:7445", not %q`, a)
	}
	return nil
}

// emptyOr checks a value that may be empty.
func emptyOr(s string, check func(string) error) error {
	if s == "" {
		return nil
	}
	return check(s)
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

var hostPattern = regexp.MustCompile(
	`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

func hostNames(hosts []string) error {
	if len(hosts) == 0 {
		return errors.New(
			`want at least one name or address under which agents reach this hub, ` +
				`such as ["hub.example.org"]`)
	}
	for _, h := range hosts {
		if _, err := netip.ParseAddr(h); err != nil &&
			(!hostPattern.MatchString(h) || len(h) > 253) {
			return fmt.Errorf(
				`want a host name or address without a port, `+
					`such as "hub.example.org" or "192.0.2.1", not %q`, h)
		}
	}
	return nil
}

var wordPattern = regexp.MustCompile(`^([a-z0-9_-]+|\*|#)$`)

// pattern checks a binding: a routing key in which whole words may be * or #.
func pattern(s string) error {
	for word := range strings.SplitSeq(s, ".") {
		if !wordPattern.MatchString(word) || len(s) > 255 {
			return fmt.Errorf(`want routing keys such as "fl-lab.dat", "fl-lab.*" or "#", not %q`,
				s)
		}
	}
	return nil
}

func durationIn(d Duration, least, most time.Duration) error {
	if time.Duration(d) < least || time.Duration(d) > most {
		return fmt.Errorf("want %s to %s, not %s", Duration(least), Duration(most), d)
	}
	return nil
}

func atLeast[N cmp.Ordered](n, least N) error {
	if n < least {
		return fmt.Errorf("want at least %v, not %v", least, n)
	}
	return nil
}

func inRange(n, least, most int) error {
	if n < least || n > most {
		return fmt.Errorf("want %d to %d, not %d", least, most, n)
	}
	return nil
}

func below(s, limit Size, name string) error {
	if s >= limit {
		return fmt.Errorf("want less than %s, which is %s, not %s", name, limit, s)
	}
	return nil
}
