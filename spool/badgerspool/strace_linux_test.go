package badgerspool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// straceKills are the calls at which a child is killed, and how many of them in a normal run.
var straceKills = []struct {
	calls string
	few   int
}{
	{"ftruncate", 8},
	{"unlink,unlinkat", 6},
	{"rename,renameat,renameat2,link,linkat", 6},
	{"fallocate", 2},
	{"mkdir,mkdirat", 3},
	{"openat", 2},
	{"fsync,fdatasync", 3},
	{"msync", 3},
	{"write,pwrite64", 2},
}

// TestKilledAtEveryCall kills a process as one of its threads makes its first, second, … call of a
// kind, while it opens a store, uses and closes it: a new one, or one that a kill left behind.
// Where two calls make one step, this is between them.
func TestKilledAtEveryCall(t *testing.T) {
	under := needStrace(t)
	used := usedStore(t)
	for _, k := range straceKills {
		for _, from := range some("", used) {
			t.Run(fmt.Sprintf("%s/new=%t", k.calls, from == ""), func(t *testing.T) {
				t.Parallel()
				at := calls{few: k.few}
				for came := false; !came; {
					came = killAtCall(t, under(k.calls, "signal=KILL:when="+at.next()), from)
				}
				t.Log(at)
			})
		}
	}
}

// some is all when there is time, and otherwise one of them.
func some(all ...string) []string {
	if soak() {
		return all
	}
	one := rand.IntN(len(all))
	return all[one : one+1]
}

// calls says at which calls something is to happen: at each when there is time, and otherwise at
// others each time, about few times as many as their number has digits.
type calls struct{ few, rounds, last int }

func (c *calls) next() string {
	step := 1
	if !soak() {
		step += rand.IntN(1 + c.last/c.few)
	}
	c.rounds, c.last = c.rounds+1, c.last+step
	return strconv.Itoa(c.last)
}

func (c calls) String() string {
	return fmt.Sprintf("%d rounds; the last, at call %d, was one too many", c.rounds, c.last)
}

// killAtCall tells whether the child came to its end before.
func killAtCall(t *testing.T, strace []string, from string) bool {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "spool")
	defer os.RemoveAll(dir)
	if from != "" {
		must(t, os.CopyFS(dir, os.DirFS(from)))
	}
	r := runOnce(t, dir, strace)
	if r.failed != "" {
		t.Fatalf("%v: the child failed: %s", strace, r.failed)
	}
	checkRound(t, dir, r)
	return r.closed
}

// TestErrorOfEverySync has a process hear of input/output errors from one sync, or from one and all
// after it. It may say no, or that it does not know; what it said yes to must be there when the
// store is opened again.
func TestErrorOfEverySync(t *testing.T) {
	under := needStrace(t)
	used := usedStore(t)
	for _, sync := range []string{"msync", "fsync,fdatasync"} {
		for _, lasting := range []string{"", "+"} {
			t.Run(sync+lasting, func(t *testing.T) {
				t.Parallel()
				uncertain, damaged, at := 0, 0, calls{few: 2}
				for came := false; !came; {
					r, refused := failAtCall(t, under(sync, "error=EIO:when="+at.next()+lasting),
						used)
					if strings.Contains(r.failed, "uncertain") {
						uncertain++
					}
					if refused {
						damaged++
					}
					came = r.closed && r.failed == "" && !refused
				}
				t.Logf("uncertain %d times, refused for damage %d times; %s", uncertain, damaged,
					at)
				if sync+lasting == "msync+" && uncertain == 0 {
					t.Error("no commit failed")
				}
			})
		}
	}
}

// failAtCall also tells whether the store was refused afterwards: over an error from the sync of
// its MANIFEST Badger stumbles itself (docs/spool.md), and then it must not open as if all were
// well.
func failAtCall(t *testing.T, strace []string, used string) (r killRound, refused bool) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "spool")
	defer os.RemoveAll(dir)
	must(t, os.CopyFS(dir, os.DirFS(used)))
	r = runOnce(t, dir, strace)
	s, err := openUnlocked(dir)
	if errors.Is(err, errDamaged) {
		return r, true
	}
	must(t, err)
	must(t, s.Close())
	checkRound(t, dir, r)
	return r, false
}

// runOnce runs a child through its one story.
func runOnce(t *testing.T, dir string, strace []string) killRound {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := listen(t, child(ctx, dir, storyOnce, strace...), func() {}, func() {})
	if ctx.Err() != nil {
		t.Fatalf("%v: the child does not end", strace)
	}
	return r
}

// usedStore makes a store as a kill leaves it: with a log to replay, and something of each kind
// waiting.
func usedStore(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "spool")
	cmd := child(t.Context(), dir, storyEndless)
	r := listen(t, cmd, func() {}, func() {
		time.AfterFunc(50*time.Millisecond, func() { cmd.Process.Kill() })
	})
	if r.failed != "" {
		t.Fatal(r.failed)
	}
	return dir
}

// needStrace returns what runs a program with calls that fail or kill, and skips where that cannot
// be done.
func needStrace(t *testing.T) func(calls, what string) []string {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIPPED: strace is not installed")
	}
	under := func(calls, what string) []string {
		return []string{strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + calls, "-e",
			"inject=" + calls + ":" + what}
	}
	try := under("openat", "signal=KILL")
	out, err := exec.Command(try[0], append(try[1:], "cat", "/dev/null")...).CombinedOutput()
	if !errors.As(err, new(*exec.ExitError)) || len(out) > 0 {
		t.Skipf("SKIPPED: strace does not work here: %v %s", err, out)
	}
	return under
}
