package badline

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// carry sends so many bytes over each of some connections, and returns how long that takes.
func carry(t *testing.T, l Line, connections, each int) time.Duration {
	t.Helper()
	way := l.Way()
	began := time.Now()
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			c := way.Conn(io.Discard)
			if _, err := c.Write(make([]byte, each)); err != nil {
				t.Error(err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	return time.Since(began)
}

func about(got, want time.Duration) bool { return got > want*97/100 && got < want*103/100 }

func TestOneConnectionGetsWhatLossLeavesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// 1460 bytes / 80 ms × 1.22 / √0.005 = 315 KB/s, a twentieth of the line.
		if each := Example.Each(); each < 314_000 || each > 316_000 {
			t.Fatalf("one connection carries %d bytes per second", each)
		}
		const size = 32 << 20
		one := time.Duration(float64(size) / float64(Example.Each()) * float64(time.Second))
		if got := carry(t, Example, 1, size); !about(got, one) {
			t.Errorf("one connection takes %s, want %s", got, one)
		}
		if got := carry(t, Example, 4, size/4); !about(got, one/4) {
			t.Errorf("four connections take %s, want %s", got, one/4)
		}
		whole := time.Duration(float64(size) / float64(Example.Rate) * float64(time.Second))
		if got := carry(t, Example, 64, size/64); got < whole || got > whole*3/2 {
			t.Errorf("64 connections take %s, want a little more than %s", got, whole)
		}
		if got := carry(t, Example.Faster(8), 1, size); !about(got, one/8) {
			t.Errorf("eight times faster it takes %s, want %s", got, one/8)
		}
		clean := Line{RoundTrip: Example.RoundTrip, Rate: Example.Rate}
		if clean.Each() != clean.Rate {
			t.Errorf("without loss one connection gets %d of %d", clean.Each(), clean.Rate)
		}
	})
}

// arrivals notes how long after it was sent each piece arrives.
type arrivals struct {
	content bytes.Buffer
	at      []time.Time
}

func (a *arrivals) Write(p []byte) (int, error) {
	a.at = append(a.at, time.Now())
	return a.content.Write(p)
}

func TestEverythingArrivesLateAndWhatIsLostLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := make([]byte, 16<<20)
		random := rand.NewChaCha8([32]byte{})
		random.Read(content)
		var got arrivals
		c := Example.Way().Conn(&got)
		began := time.Now()
		if _, err := c.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.content.Bytes(), content) {
			t.Error("it is not what was sent")
		}
		stalls := 0
		gap := takes(piece, Example.Each())
		for i, at := range got.at {
			sent := began.Add(time.Duration(i+1) * gap)
			delay := at.Sub(sent)
			if delay < Example.RoundTrip/2-time.Millisecond || delay > 2*Example.RoundTrip {
				t.Fatalf("piece %d is %s late", i, delay)
			}
			if i > 0 && at.Sub(got.at[i-1]) > gap+Example.RoundTrip/2 {
				stalls++
			}
		}
		// 11,491 segments in 1,024 pieces; one in 200 is lost. Some follow upon each other.
		if stalls < 20 || stalls > 70 {
			t.Errorf("it stalls %d times", stalls)
		}
	})
}

func TestALineThatLeadsNowhereTakesNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		c := Example.Way().Conn(failing{broken})
		_, err := c.Write(make([]byte, 64<<20))
		if !errors.Is(err, broken) || !errors.Is(c.Close(), broken) {
			t.Errorf("got %v", err)
		}
	})
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
