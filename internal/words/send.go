package words

import (
	"fmt"
	"time"
)

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
