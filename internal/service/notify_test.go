//go:build unix

package service

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Run speaks to a real socket as systemd would offer it.
func TestRunSpeaksToSystemd(t *testing.T) {
	dir, err := os.MkdirTemp("", "n-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "30000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	wait := func(ctx context.Context) error { <-ctx.Done(); return nil }
	go func() {
		ended <- Run(ctx, Daemon{Run: wait, Alive: func(context.Context) error {
			return nil
		}}, slog.New(slog.DiscardHandler))
	}()
	hear := func() string {
		buffer := make([]byte, 1000)
		c.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := c.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
	for _, want := range []string{"READY=1\nSTATUS=serving", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := hear(); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	stop()
	for said := ""; said != "STOPPING=1\nSTATUS=handing back what is under way"; {
		said = hear()
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRunWithoutSystemdOnlyRuns(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	broken := errors.New("broken")
	err := Run(t.Context(), Daemon{Run: func(context.Context) error { return broken }}, nil)
	if !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestSocketThatIsGone(t *testing.T) {
	if err := (notifier{filepath.Join(t.TempDir(), "gone")}).say("READY=1"); err == nil {
		t.Error("told nobody, and no error")
	}
}

func TestWatchdogIsForThisProcessOnly(t *testing.T) {
	me := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		name, usec, pid string
		want            time.Duration
	}{
		{"mine", "2000000", me, 2 * time.Second},
		{"nobody's in particular", "2000000", "", 2 * time.Second},
		{"another's", "2000000", "1", 0},
		{"none", "", "", 0},
		{"nonsense", "soon", me, 0},
		{"negative", "-5", me, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("WATCHDOG_USEC", c.usec)
			t.Setenv("WATCHDOG_PID", c.pid)
			if got := watchdog(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
