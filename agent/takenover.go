package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/durable"
	"sealpost/internal/reason"
)

// takenOverFile says in the state folder since when another computer runs the site. The next start
// of the agent deletes it.
func takenOverFile(state string) string { return filepath.Join(state, "taken-over") }

func noteTakenOver(state string, now time.Time) error {
	return durable.WriteFile(takenOverFile(state), []byte(now.UTC().Format(time.RFC3339)+"\n"),
		0o600)
}

func forgetTakenOver(state string) error {
	if err := os.Remove(takenOverFile(state)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// TakenOver returns the time at which another computer has taken over the site of this state
// folder. It is zero if none has since the agent's last start.
func TakenOver(state string) time.Time {
	text, err := os.ReadFile(takenOverFile(state))
	if err != nil || len(text) == 0 {
		return time.Time{}
	}
	when, _ := time.Parse(time.RFC3339+"\n", string(text)) // zero for a text that is no time
	return when
}

// RunsElsewhere is the reason of an agent that has stopped for one on another computer.
func RunsElsewhere(since time.Time) reason.Reason {
	return reason.New("runs-elsewhere", "since", since)
}

// howEnded returns the meaning of an error that ends the agent.
func howEnded(err error) (reason.Situation, reason.Reason) {
	if errors.Is(err, api.ErrHeld) {
		return reason.TakenOver, RunsElsewhere(time.Now())
	}
	return reason.Stopped, reason.New("ended-with-error", "why", err)
}
