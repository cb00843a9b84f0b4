package hub

import (
	"os"
	"path/filepath"
	"testing"
)

// Lost commits are reported until an admin acknowledges them, also after a restart.
func TestLostCommitsAreReported(t *testing.T) {
	q := openHeadquarters(t)
	lost := func() bool { return ask[Status](q, ControlStatus, Nothing{}).Spool.Lost != nil }
	if lost() || ask[Changed](q, ControlAcknowledge, Nothing{}).Changed {
		t.Error("a new store has lost commits")
	}
	q.stop()
	mark := filepath.Join(q.config.State, "spool", "commits")
	if err := os.WriteFile(mark, []byte("00000000000000009999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	q.start()
	if !lost() {
		t.Error("the loss is not reported")
	}
	q.restart()
	if !lost() || !ask[Changed](q, ControlAcknowledge, Nothing{}).Changed || lost() {
		t.Error("the report does not end with its acknowledgement")
	}
	q.restart()
	if lost() {
		t.Error("it is reported again")
	}
}
