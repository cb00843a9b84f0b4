package outbox

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/hub/api"
	"sealpost/internal/freeport"
	"sealpost/internal/id"
)

// tries notes when something was logged.
type tries struct {
	slog.Handler
	at []time.Time
}

func (h *tries) Handle(_ context.Context, r slog.Record) error {
	h.at = append(h.at, r.Time)
	return nil
}

// The hub is gone for a week. Waiting calls ask now and then, never in a rhythm that others share,
// and nothing piles up meanwhile. TestTheHubIsGoneForAWhile in e2e shows that everything arrives
// once the hub is back. Without soak it is gone for a day, in 4,000 tries and more.
func TestTheHubIsGoneForAWeek(t *testing.T) {
	t.Parallel()
	week := 24 * time.Hour
	if soak {
		week *= 7
	}
	closed, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		log := &tries{Handler: slog.DiscardHandler}
		client := api.NewClient(api.ClientOptions{Hubs: []string{closed},
			TLS: &tls.Config{MinVersion: tls.VersionTLS13}, Site: "FL-LAB"})
		o := &Outbox{log: slog.New(enabled{log}), hub: client, trust: &trust.Trust{}}
		o.desk = newDesk(o)
		close(o.desk.ended)
		s := &sealed{content: bytes.NewBufferString("ciphertext"),
			messages: make([]ledger.Outgoing, 1)}
		s.ID, s.Size = id.Random128[id.Envelope](), 10
		ctx, cancel := context.WithTimeout(t.Context(), week)
		defer cancel()
		goroutines := runtime.NumGoroutine()
		if _, err := o.publish(ctx, s); err != nil {
			t.Fatal(err)
		}
		gaps := make([]time.Duration, 0, len(log.at))
		for i := range log.at[1:] {
			gaps = append(gaps, log.at[i+1].Sub(log.at[i]))
		}
		if len(gaps) < 4000 || log.at[0].Add(week).Sub(log.at[len(log.at)-1]) > 20*time.Second {
			t.Fatalf("it gave up after %d tries", len(log.at))
		}
		later := gaps[20:]
		if shortest, longest := slices.Min(later), slices.Max(later); shortest < 5*time.Second ||
			longest > 20*time.Second || longest-shortest < 5*time.Second {
			t.Errorf("between two tries lie %s to %s", shortest, longest)
		}
		if now := runtime.NumGoroutine(); now > goroutines+2 {
			t.Errorf("%d goroutines became %d", goroutines, now)
		}
		client.CloseIdle()
	})
}

// enabled lets a handler have every record.
type enabled struct{ slog.Handler }

func (enabled) Enabled(context.Context, slog.Level) bool { return true }
