package badgerspool

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/spool"
)

// These variables make this program a child: the folder of its store, and its story.
const (
	childEnv = "SEALPOST_SPOOL_CHILD"
	storyEnv = "SEALPOST_SPOOL_STORY"
)

// The stories of a child: to use the store until it is killed, or once and then close it.
const (
	storyEndless = "endless"
	storyOnce    = "once"
)

// killSizes are the kinds of content: in a pack, in a file of its own, in parts.
var killSizes = []int{
	300, 300, 300, 300, 300, 300, 4000, 4000, 4000, 4000, 4000, 20000, 20000,
	spool.InlineSize + 1, spool.InlineSize + 1, spool.SmallSize + 1,
}

// killContent derives a content from the envelope's id, so that the parent can check it.
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

// childMain uses the store, and writes a line for whatever it was told is done.
func childMain(dir, story string) {
	s, err := openUnlocked(dir)
	if err != nil {
		fmt.Println("failed", err)
		return
	}
	fmt.Println("ready")
	if story == storyOnce {
		if err := childOnce(s); err != nil {
			fmt.Println("failed", err)
		}
		return
	}
	childEndless(s)
}

// openUnlocked opens a store that a child had, or this process. For a moment a starting child holds
// every file that its parent has open, the locks of other stores too.
func openUnlocked(dir string) (s *Spool, err error) {
	for range 1000 {
		if s, err = Open(dir, Options{}); !errors.Is(err, durable.ErrLocked) {
			return s, err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil, err
}

func childEndless(s *Spool) {
	if err := s.Limit(context.Background(), killQuotas()); err != nil {
		fmt.Println("failed", err)
		return
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { childPublish(s) })
	}
	for _, queue := range []string{"ca_rc_queue", "sf_rc_queue"} {
		wg.Go(func() { childSettle(s, queue) })
	}
	wg.Go(func() { childKill(s, "sf_rc_queue") })
	wg.Go(func() { childForget(s) })
	wg.Wait()
}

// childOnce publishes one of each kind, settles some, and closes the store.
func childOnce(s *Spool) error {
	ctx := context.Background()
	for n := 0; n < 8; n++ {
		e, content := killEnvelope()
		if err := publishAny(ctx, s, e, content); err != nil {
			return err
		}
		fmt.Println("published", e.ID)
	}
	ds, err := s.Lease(ctx, spool.LeaseRequest{Queue: "ca_rc_queue", Session: "child", Max: 5,
		MaxBytes: 1 << 20, Duration: time.Minute})
	if err != nil {
		return err
	}
	for i, d := range ds {
		if i == 0 {
			err = s.Release(ctx, d.Token, spool.Nack{Delay: time.Millisecond})
		} else if err = settleOne(ctx, s, d); err == nil {
			fmt.Println("settled", d.Envelope, d.Queue)
		}
		if err != nil {
			return err
		}
	}
	if err := s.Close(); err != nil {
		return err
	}
	fmt.Println("closed")
	return nil
}

func childPublish(s *Spool) {
	e, content := killEnvelope()
	for {
		err := publishAny(context.Background(), s, e, content)
		if over, isOver := errors.AsType[*spool.OverQuota](err); isOver {
			fmt.Println("refused", over.Scope, over.Limit)
			time.Sleep(time.Millisecond) // as an agent waits, and others settle
		} else if err != nil {
			fmt.Println("failed", err)
			return
		} else {
			fmt.Println("published", e.ID)
			e, content = killEnvelope()
		}
	}
}

// killQuotas are so low that the sixteen publishers of a child are often refused. Each time draws
// others, so that each limit is the lowest one at times.
func killQuotas() spool.Quotas {
	draw := func() spool.Quota {
		return spool.Quota{Bytes: 1<<20 + rand.Int64N(4<<20), Reserved: 1<<20 + rand.Int64N(4<<20),
			Uploads: 1 + rand.Int64N(4), Envelopes: 10 + rand.Int64N(60),
			Messages: 10 + rand.Int64N(60)}
	}
	q := spool.Quotas{Hub: draw(), Site: draw(), Queue: draw(), Dead: 1 << 20}
	q.Queue.Reserved, q.Queue.Uploads = 0, 0
	return q
}

// childKill makes deliveries dead, requeues some letters and discards others.
func childKill(s *Spool, queue string) {
	ctx, err := context.Background(), error(nil)
	for n := 0; err == nil; n++ {
		if _, err = s.Kill(ctx, queue, "removed"); err != nil {
			break
		}
		var letters []spool.DeadLetter
		if letters, _, err = s.DeadLetters(ctx, 0, 6); err != nil {
			break
		}
		for i, l := range letters {
			change := s.Requeue
			if (n+i)%3 == 0 {
				change = func(ctx context.Context, l spool.Letter) error {
					_, err := s.Discard(ctx, l)
					return err
				}
			}
			if err = change(ctx, l.Letter); errors.Is(err, spool.ErrConflict) ||
				errors.Is(err, spool.ErrNotFound) {
				err = nil // settled meanwhile, or over the quota
			}
		}
		if n%5 == 4 && err == nil {
			_, err = s.DiscardBefore(ctx, time.Now())
		}
	}
	fmt.Println("failed", err)
}

// childForget reads the events of the sender, and forgets those that it has read.
func childForget(s *Spool) {
	ctx, after := context.Background(), spool.Cursor(0)
	for {
		_, next, err := s.Events(ctx, "FL-LAB", after, 4<<10)
		if err == nil {
			_, err = s.Forget(ctx, spool.Retention{Before: time.Now().Add(time.Hour)})
		}
		if err != nil {
			fmt.Println("failed", err)
			return
		}
		after = next
	}
}

func childSettle(s *Spool, queue string) {
	session := id.Random128[id.Session]()
	for i := 0; ; i++ {
		ds, err := s.Lease(context.Background(), spool.LeaseRequest{Queue: queue, Session: session,
			Max: 8, MaxBytes: 1 << 20, Duration: time.Minute})
		if err != nil {
			fmt.Println("failed", err)
			return
		}
		for j, d := range ds {
			if (i+j)%7 == 0 {
				err = s.Release(context.Background(), d.Token, spool.Nack{Delay: time.Millisecond})
				if errors.Is(err, spool.ErrStale) {
					err = nil // it is dead
				}
			} else if err = settleOne(context.Background(), s, d); err == nil {
				fmt.Println("settled", d.Envelope, d.Queue)
			} else if errors.Is(err, spool.ErrNotFound) {
				err = nil // it died meanwhile, and was forgotten
			}
			if err != nil {
				fmt.Println("failed", err)
				return
			}
		}
	}
}

// killRound has the answers that one child got.
type killRound struct {
	published []id.Envelope
	refused   map[string]int // by quotas; by the scope and the limit
	settled   [][2]string    // envelope, queue
	failed    string
	closed    bool // it came to its end
}

// child runs this test's program as the user of a store, under a command if one is given.
func child(ctx context.Context, dir, story string, under ...string) *exec.Cmd {
	args := append(under, os.Args[0])
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+dir, storyEnv+"="+story, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	return cmd
}

// listen starts a child and records its output until its end. It calls the functions when the child
// has started, and when it is ready.
func listen(t *testing.T, cmd *exec.Cmd, started, ready func()) (r killRound) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	started()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0:
		case words[0] == "ready":
			ready()
		case words[0] == "closed":
			r.closed = true
		case words[0] == "published" && len(words) == 2 && len(words[1]) == 32:
			r.published = append(r.published, id.Envelope(words[1]))
		case words[0] == "refused" && len(words) == 3:
			if r.refused == nil {
				r.refused = map[string]int{}
			}
			r.refused[words[1]+" "+words[2]]++
		case words[0] == "settled" && len(words) == 3 && strings.HasSuffix(words[2], "_queue"):
			r.settled = append(r.settled, [2]string{words[1], words[2]})
		case words[0] == "failed":
			r.failed = lines.Text()
		}
	}
	cmd.Wait() // killed, mostly
	return r
}
