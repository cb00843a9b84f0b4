package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	rates "runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"sealpost/internal/durable"
	"sealpost/internal/reason"
	"sealpost/internal/strictjson"
)

// Times of the history.
const (
	sampleTime  = 10 * time.Second
	keepHistory = 5 * time.Minute // between two writes of its file
	historyFile = "history.json"
	mostHistory = 4 << 20 // bytes of the file
)

// HistoryRequest asks for the hub's figures over a span: hour, day or year.
type HistoryRequest struct {
	Span string `json:"span"`
}

// HistoryAnswer holds the samples of a span, the oldest first, and the time between two.
type HistoryAnswer struct {
	Every   time.Duration `json:"every_ns"`
	Samples []Sample      `json:"samples"`
}

// Sample is the hub's figures over some time.
type Sample struct {
	Time     time.Time     `json:"time"`        // its beginning
	Length   time.Duration `json:"length_ns"`   // in which the hub ran
	Messages int64         `json:"messages"`    // published, repetitions included
	Settled  int64         `json:"settled"`     // outcomes of messages
	In       int64         `json:"bytes_in"`    // of ciphertext
	Out      int64         `json:"bytes_out"`   // of ciphertext
	Requests int64         `json:"requests"`    // answered, but waits
	Busy     time.Duration `json:"busy_ns"`     // the sum of their times
	Waiting  int64         `json:"waiting"`     // the most deliveries
	Oldest   time.Duration `json:"oldest_ns"`   // the greatest age of a waiting delivery
	Free     int64         `json:"disk_free"`   // the least bytes
	Memory   int64         `json:"memory"`      // the most bytes
	Days     int           `json:"days"`        // until the hub's certificate ends
	Links    int           `json:"connections"` // the most
}

// merge adds a later sample.
func (s *Sample) merge(x Sample) {
	s.Length += x.Length
	s.Messages += x.Messages
	s.Settled += x.Settled
	s.In += x.In
	s.Out += x.Out
	s.Requests += x.Requests
	s.Busy += x.Busy
	s.Waiting, s.Memory = max(s.Waiting, x.Waiting), max(s.Memory, x.Memory)
	s.Oldest = max(s.Oldest, x.Oldest)
	s.Free, s.Links = min(s.Free, x.Free), max(s.Links, x.Links)
	s.Days = x.Days
}

// tally counts the hub's work since the last sample.
type tally struct {
	messages, settled, in, out, requests, busy atomic.Int64
}

// span is one length of the history.
type span struct {
	name  string
	every time.Duration
	most  int
}

var spans = []span{
	{"hour", sampleTime, 360},
	{"day", 5 * time.Minute, 288},
	{"year", 24 * time.Hour, 366},
}

// history keeps bounded samples of each span.
type history struct {
	mu sync.Mutex // guards by
	by map[string][]Sample
}

func newHistory() *history { return &history{by: map[string][]Sample{}} }

// add puts a sample into each span. One of the same time as the newest is merged with it, and so is
// one from before: the clock was set back.
func (h *history) add(x Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range spans {
		list, one := h.by[s.name], x
		one.Time = x.Time.Truncate(s.every)
		if n := len(list); n > 0 && !one.Time.After(list[n-1].Time) {
			list[n-1].merge(one)
		} else {
			list = append(list, one)
		}
		h.by[s.name] = list[max(0, len(list)-s.most):]
	}
}

// history returns the samples of a span.
func (h *Hub) history(_ context.Context, in HistoryRequest) (HistoryAnswer, error) {
	for _, s := range spans {
		if s.name == in.Span {
			h.past.mu.Lock()
			defer h.past.mu.Unlock()
			return HistoryAnswer{s.every, append([]Sample{}, h.past.by[s.name]...)}, nil
		}
	}
	return HistoryAnswer{}, reason.Err("history-span", "span", in.Span[:min(20, len(in.Span))])
}

// sample returns the hub's figures since the last sample.
func (h *Hub) sample(ctx context.Context, now time.Time, length time.Duration) (Sample, error) {
	info, err := h.spool.Info(ctx)
	if err != nil {
		return Sample{}, err
	}
	queues, err := h.spool.Queues(ctx)
	if err != nil {
		return Sample{}, err
	}
	memory := []rates.Sample{{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"}}
	rates.Read(memory)
	t := &h.metrics.tally
	s := Sample{Time: now.UTC(), Length: length, Messages: t.messages.Swap(0),
		Settled: t.settled.Swap(0), In: t.in.Swap(0), Out: t.out.Swap(0),
		Requests: t.requests.Swap(0), Busy: time.Duration(t.busy.Swap(0)), Free: info.DiskFree,
		Memory: int64(memory[0].Value.Uint64() - memory[1].Value.Uint64()),
		Days:   int(h.identity.NotAfter().Sub(now).Hours() / 24), Links: h.links.count("")}
	for _, q := range queues {
		s.Waiting += q.Waiting
		if !q.Oldest.IsZero() {
			s.Oldest = max(s.Oldest, now.Sub(q.Oldest))
		}
	}
	return s, nil
}

// watchHistory takes samples until the context ends, and keeps them in a file.
func (h *Hub) watchHistory(ctx context.Context) error {
	tick := time.NewTicker(sampleTime)
	defer tick.Stop()
	last, kept := time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			h.keepHistory()
			return nil
		case <-tick.C:
		}
		now := time.Now()
		s, err := h.sample(ctx, h.now(), now.Sub(last))
		if err != nil {
			continue // the next sample has the figures
		}
		h.past.add(s)
		if last = now; now.Sub(kept) >= keepHistory && s.Free > int64(h.config.Spool.Floor) {
			kept = now
			h.keepHistory()
		}
	}
}

// keepHistory writes the history to its file. A hub can do without.
func (h *Hub) keepHistory() {
	h.past.mu.Lock()
	text, err := strictjson.Marshal(h.past.by)
	h.past.mu.Unlock()
	err = cmp.Or(err, durable.WriteFile(filepath.Join(h.config.State, historyFile), text, 0o600))
	if err != nil {
		h.log.Warn("history not kept", "error", err)
	}
}

// openHistory reads the history of earlier starts. A file that cannot be read is left out.
func (h *Hub) openHistory() {
	path := filepath.Join(h.config.State, historyFile)
	err := func() error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() > mostHistory {
			return fmt.Errorf("it has %d bytes", info.Size())
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		by := map[string][]Sample{}
		if err := strictjson.Unmarshal(text, &by); err != nil {
			return err
		}
		for _, s := range spans {
			list := by[s.name]
			h.past.by[s.name] = list[max(0, len(list)-s.most):]
		}
		return nil
	}()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.log.Warn("history not read", "path", path, "error", err)
	}
}
