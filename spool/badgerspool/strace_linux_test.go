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

// TestKilledAtEveryCall kills a process at its first, second, … system call of a kind. Meanwhile it
// opens, uses and closes a store: a new one, or one that a kill left. Where two calls make one
// step, the kill comes between them.
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

// calls chooses the calls to fail. With time it chooses each. Otherwise it makes random steps, with
// about few calls for each digit of their number.
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

// killAtCall reports whether the child ended before the kill.
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

// TestErrorOfEverySync makes one sync of a process fail, or one and all after it. A call may fail
// or be uncertain. An acknowledged change must be there when the store is opened again.
func TestErrorOfEverySync(t *testing.T) {
	under := needStrace(t)
	used := usedStore(t)
	for _, sync := range []string{"msync", "fsync,fdatasync"} {
		for _, others := range []string{"", "+"} {
			t.Run(sync+others, func(t *testing.T) {
				t.Parallel()
				uncertain, damaged, at := 0, 0, calls{few: 2}
				for came := false; !came; {
					r, refused := failAtCall(t, under(sync, "error=EIO:when="+at.next()+others),
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
				if sync+others == "msync+" && uncertain == 0 {
					t.Error("no commit failed")
				}
			})
		}
	}
}

// failAtCall also reports whether opening refused the store afterwards. Badger fails over an error
// from the sync of its MANIFEST (docs/spool.md); then opening must not succeed.
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

// needStrace returns the command that makes calls of a program fail or kill. It skips the test if
// strace does not work.
func needStrace(t *testing.T) func(calls, effect string) []string {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIPPED: strace is not installed")
	}
	under := func(calls, effect string) []string {
		return []string{strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + calls, "-e",
			"inject=" + calls + ":" + effect}
	}
	try := under("openat", "signal=KILL")
	out, err := exec.Command(try[0], append(try[1:], "cat", "/dev/null")...).CombinedOutput()
	if !errors.As(err, new(*exec.ExitError)) || len(out) > 0 {
		t.Skipf("SKIPPED: strace does not work here: %v %s", err, out)
	}
	return under
}
