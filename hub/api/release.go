package api

import "slices"

// The release codes: reasons to hand a delivery back for later. The list is closed, because the hub
// reads it; the details stay with the site.
const (
	ReleaseTransport = "transport" // content not readable, or with wrong checksums
	ReleaseLocal     = "local-io"  // a local read or write failed
	ReleaseFull      = "disk-full" // no room in the inbox
	ReleaseClock     = "clock"     // a certificate is not valid at this time
	ReleasePin       = "pin"       // the sender's key differs from its pin, or waits for trust
	ReleaseTooLarge  = "too-large" // over the site's own limit
	ReleaseStopped   = "stopped"   // the agent stopped
	ReleaseBusy      = "busy"      // the agent has enough to do
	ReleaseNotTaken  = "not-taken" // the hub's own: the agent left before the answer
)

var releases = []string{ReleaseTransport, ReleaseLocal, ReleaseFull, ReleaseClock, ReleasePin,
	ReleaseTooLarge, ReleaseStopped, ReleaseBusy, ReleaseNotTaken}

// ValidRelease reports whether code is a release code.
func ValidRelease(code string) bool { return slices.Contains(releases, code) }
