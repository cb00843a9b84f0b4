package badgerspool

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

const childEnv = "SEALPOST_SPOOL_CHILD"

// killSizes are the kinds of content: in a pack, in a file of its own, in parts.
var killSizes = []int{300, 300, 4000, 4000, 20000, 20000, spool.InlineSize + 1, spool.SmallSize + 1}

// killContent follows from the envelope's id, so that the parent knows what the child published.
func killContent(e id.Envelope) []byte {
	sum := sha256.Sum256([]byte(e))
	b := make([]byte, killSizes[int(sum[0])%len(killSizes)]+int(sum[1]))
	rand.NewChaCha8(sum).Read(b)
	return b
}

func killEnvelope() (spool.Envelope, []byte) {
	e := id.Random128[id.Envelope]()
	content := killContent(e)
	env := testEnvelope(content)
	env.ID = e
	return env, content
}

// childMain uses the store until it is killed, and writes a line for whatever it was told is done.
func childMain(dir string) {
	s, err := Open(dir, Options{})
	if err != nil {
		fmt.Println("failed", err)
		return
	}
	fmt.Println("ready")
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { childPublish(s) })
	}
	for _, queue := range []string{"ca_rc_queue", "sf_rc_queue"} {
		wg.Go(func() { childSettle(s, queue) })
	}
	wg.Wait()
}

func childPublish(s *Spool) {
	for {
		e, content := killEnvelope()
		if err := publishAny(context.Background(), s, e, content); err != nil {
			fmt.Println("failed", err)
			return
		}
		fmt.Println("published", e.ID)
	}
}

func childSettle(s *Spool, queue string) {
	session := id.Random128[id.Session]()
	for i := 0; ; i++ {
		ds, err := s.Lease(context.Background(), spool.LeaseRequest{Queue: queue, Session: session, Max: 8, MaxBytes: 1 << 20, Duration: time.Minute})
		if err != nil {
			fmt.Println("failed", err)
			return
		}
		for j, d := range ds {
			if (i+j)%7 == 0 {
				err = s.Release(context.Background(), d.Token, spool.Nack{Delay: time.Millisecond})
			} else if err = settleOne(context.Background(), s, d); err == nil {
				fmt.Println("settled", d.Envelope, d.Queue)
			}
			if err != nil {
				fmt.Println("failed", err)
				return
			}
		}
	}
}

// killRound is what one child was told.
type killRound struct {
	published []id.Envelope
	settled   [][2]string // envelope, queue
	failed    string
}

// TestKill kills a process at random instants while it publishes and settles, again and again in one folder. Whatever it was
// told is done must be there afterwards, and everything else must be whole.
func TestKill(t *testing.T) {
	budget := 6 * time.Second
	if soak() {
		budget = 20 * time.Minute
	}
	dir := t.TempDir()
	rounds, published, settled := 0, 0, 0
	for start := time.Now(); time.Since(start) < budget; rounds++ {
		r := runChild(t, dir, rounds%2 == 0, time.Duration(rand.IntN(250))*time.Millisecond)
		if r.failed != "" {
			t.Fatalf("the child of round %d failed: %s", rounds, r.failed)
		}
		published += len(r.published)
		settled += len(r.settled)
		checkRound(t, dir, r)
	}
	t.Logf("%d rounds, %d publishes and %d settlements acknowledged", rounds, published, settled)
}

// TestEmptyLogs: Badger's logs as a kill leaves them between the two steps in which they are made, or removed.
func TestEmptyLogs(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{}, realSeams())
	publishMany(t, s, 300, 30)
	must(t, s.Close())
	for _, name := range []string{"00001.mem", "00002.mem", "00009.mem", "000001.vlog", "000009.vlog"} {
		t.Run(name, func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "spool")
			must(t, os.CopyFS(copied, os.DirFS(dir)))
			must(t, os.WriteFile(filepath.Join(copied, "badger", name), nil, 0o600))
			again := mustOpen(t, copied, Options{}, realSeams())
			mustAudit(t, again)
			if again.Incarnation() != s.Incarnation() {
				t.Error("it is taken for another store")
			}
			publishMany(t, again, 300, 5)
			settleMany(t, again, "ca_rc_queue", 35, 4)
			must(t, again.Close())
			mustAudit(t, mustOpen(t, copied, Options{}, realSeams()))
		})
	}
}

// runChild starts a child, kills it some time after its start or after it is ready, and returns what it said.
func runChild(t *testing.T, dir string, opening bool, after time.Duration) (r killRound) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if opening {
		time.AfterFunc(after, func() { cmd.Process.Kill() })
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0:
		case words[0] == "ready" && !opening:
			time.AfterFunc(after, func() { cmd.Process.Kill() })
		case words[0] == "published" && len(words) == 2 && len(words[1]) == 32:
			r.published = append(r.published, id.Envelope(words[1]))
		case words[0] == "settled" && len(words) == 3 && strings.HasSuffix(words[2], "_queue"):
			r.settled = append(r.settled, [2]string{words[1], words[2]})
		case words[0] == "failed":
			r.failed = lines.Text()
			cmd.Process.Kill()
		}
	}
	cmd.Wait() // killed
	return r
}

// checkRound opens what a child left.
func checkRound(t *testing.T, dir string, r killRound) {
	t.Helper()
	s := mustOpen(t, dir, Options{}, realSeams())
	defer s.Close()
	mustAudit(t, s)
	known := make(map[id.Envelope]spool.Known)
	ks, err := s.Known(t.Context(), "FL-LAB", append(r.published, settledIDs(r)...))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range ks {
		known[k.Envelope] = k
		if k.State == spool.StateUnknown {
			t.Fatalf("%s was acknowledged and is unknown", k.Envelope)
		}
	}
	for _, st := range r.settled {
		found := false
		for _, res := range known[id.Envelope(st[0])].Results {
			found = found || res.Receipt == "receipt "+st[0]+st[1]
		}
		if !found {
			t.Fatalf("the settlement of %s in %s was acknowledged and is lost", st[0], st[1])
		}
	}
	for _, queue := range []string{"ca_rc_queue", "sf_rc_queue"} {
		drain(t, s, queue)
	}
	mustAudit(t, s)
}

func settledIDs(r killRound) (ids []id.Envelope) {
	for _, st := range r.settled {
		ids = append(ids, id.Envelope(st[0]))
	}
	return ids
}

// drain reads and settles everything that waits but the last few.
func drain(t *testing.T, s *Spool, queue string) {
	t.Helper()
	for {
		infos, err := s.Queues(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		waiting := int64(0)
		for _, info := range infos {
			if info.Name == queue {
				waiting = info.Waiting - info.Leased
			}
		}
		if waiting <= 3 {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		ds, err := s.Lease(ctx, spool.LeaseRequest{Queue: queue, Session: "parent", Max: 64, MaxBytes: 4 << 20, Duration: time.Hour})
		cancel()
		if err != nil || len(ds) == 0 {
			t.Fatalf("%d wait in %s, got %d, %v", waiting, queue, len(ds), err)
		}
		for _, d := range ds {
			readWhole(t, s, d)
			if err := settleOne(t.Context(), s, d); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func readWhole(t *testing.T, s *Spool, d spool.Delivery) {
	t.Helper()
	got := d.Content
	if got == nil {
		rc, err := s.Open(t.Context(), d.DeliveryID, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer rc.Close()
		if got, err = io.ReadAll(rc); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, killContent(d.Envelope)) {
		t.Fatalf("%s holds %d other bytes", d.Envelope, len(got))
	}
}
