package words

import (
	"fmt"
	"strings"
	"time"

	"sealpost/internal/id"
)

// What `sealpost send` says.

// NotThere says that a file that is to be sent is not there. Nothing was sent yet.
func NotThere(file string) error { return fmt.Errorf("there is no %s, so nothing was sent", file) }

// LeftAlone says that a file would never be taken under its name.
func LeftAlone(name, why string) error {
	return fmt.Errorf("%s would not be taken from outbox, so nothing was sent: %s. Give it another name", name, why)
}

// NoSuchTray says which trays there are.
func NoSuchTray(tray, list string) string {
	return fmt.Sprintf("this site has no tray %q; it has %s", tray, list)
}

// NoSuchRoute says under which routing keys a site sends.
func NoSuchRoute(list string) string {
	return fmt.Sprintf("this site sends under %s; for particular sites say --to @SITE or --to @SITE,SITE", list)
}

// WhichTray says that several trays fit.
func WhichTray(list string) string {
	return "which tray is meant? Say --tray with one of " + list
}

// NotCopied says that nothing came into outbox.
func NotCopied(why error) error { return fmt.Errorf("not sent: %w", why) }

// InOutbox says that a file is on its way.
func InOutbox(name, to string) string { return fmt.Sprintf("%q is in outbox, for %s", name, to) }

// NotAllDelivered says how many files have failed.
func NotAllDelivered(failed, all int) error {
	return fmt.Errorf("%d of %d not delivered to everybody", failed, all)
}

// EndedDelivered is how a file ended well.
func EndedDelivered(sites string, message id.Message) string {
	return fmt.Sprintf("delivered to %s (%s)", sites, message)
}

// EndedFailed is how it did not.
func EndedFailed(reason string, message id.Message) string {
	return fmt.Sprintf("failed: %s; WHY.txt in failed/%s says more", sentence(reason), message)
}

// SameNameFirst says what a copy waits for.
const SameNameFirst = "waiting until the file of the same name in outbox is taken"

// SameNameStays says that it waited too long.
func SameNameStays(name string) error {
	return fmt.Errorf("%s: a file of that name lies in outbox and is not taken; 'sealpost agent status' says why", name)
}

// AgentAway is said while a command waits for a file and the agent does not answer.
const AgentAway = "the agent does not run; the file is in its tray and goes on when it runs again, and this command waits for that"

// GoesOn says that nothing is lost when nobody waits.
func GoesOn(name string) error {
	return fmt.Errorf("interrupted; %s goes on by itself, see 'sealpost agent find'", name)
}

// What is said of a daemon that cannot be asked.

// NotRunning says how to start a daemon. service is what its service says, if it is one.
func NotRunning(kind, dir string, why error, service string) error {
	return fmt.Errorf("the %s in %s does not run; start it with: sealpost %s run --dir %s (%w)%s", kind, dir, kind, dir, why, service)
}

// StoppedFor says that an agent has stopped for one on another computer, and what to decide.
func StoppedFor(dir string, since time.Time, why error) error {
	return fmt.Errorf("the agent in %s does not run: %s. Decide which computer it is to be, and stop the agent on the other one; to take the site back: sealpost agent run --dir %s (%w)",
		dir, RunsElsewhere(since), dir, why)
}

// NoHubIn says that a folder is no hub's.
func NoHubIn(dir string) error {
	return fmt.Errorf("there is no hub in %s; name its folder with --dir, or set one up with: sealpost hub init", dir)
}

// NoAgentIn says that a folder is no site's.
func NoAgentIn(dir string) error {
	return fmt.Errorf("there is no agent in %s; name its folder with --dir, or join a network with: sealpost agent join SITE.join", dir)
}

// ThingsWrong says how much the doctor has found.
func ThingsWrong(n int) error {
	return fmt.Errorf("%s", Count(int64(n), "thing is wrong", "things are wrong"))
}

// Because says in one line why a message is as it is.
func Because(message id.Message, state, reason string) string {
	return fmt.Sprintf("%s is %s: %s", message, state, strings.TrimSuffix(reason, "."))
}
