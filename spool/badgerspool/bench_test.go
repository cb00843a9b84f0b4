package badgerspool

import (
	"context"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool/queue"
)

// smallEnvelope returns an envelope of one message for two recipients.
func smallEnvelope(content []byte, sum uint32) spool.Envelope {
	return spool.Envelope{
		ID: id.Random128[id.Envelope](), Sender: "FL-LAB",
		Address:      id.Address{RoutingKey: "fl-lab.dat"},
		RouteVersion: "3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a",
		Size:         int64(len(content)), CRC32C: []uint32{sum}, Content: content,
		Messages: []spool.Message{
			{ID: "FL-LAB_DAT_20251008_001", UID: id.Random128[id.UID](), Sent: time.Now()}},
		Deliveries: []spool.Target{{Site: "CA-RC", Queue: "ca_rc_queue"},
			{Site: "SF-RC", Queue: "sf_rc_queue"}},
	}
}

// benchContent is 4 KiB that nothing compresses.
func benchContent() ([]byte, uint32) {
	content := make([]byte, 4096)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(content)
	return content, crc32.Checksum(content, castagnoli)
}

// inParallel runs f n times in so many goroutines.
func inParallel(n, workers int, f func()) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				f()
			}
		})
	}
	wg.Wait()
}

// publishMany publishes n small envelopes.
func publishMany(tb testing.TB, s *Spool, n, publishers int) {
	tb.Helper()
	content, sum := benchContent()
	inParallel(n, publishers, func() {
		if _, err := s.Publish(context.Background(), smallEnvelope(content, sum)); err != nil {
			tb.Error(err)
		}
	})
}

// settleMany leases and settles n deliveries of a queue, as one agent does that has so many
// settlements under way.
func settleMany(tb testing.TB, s *Spool, queue string, n, settlers int) {
	tb.Helper()
	work := make(chan spool.Delivery, 64)
	var wg sync.WaitGroup
	for range settlers {
		wg.Go(func() {
			for d := range work {
				if err := settleOne(context.Background(), s, d); err != nil {
					tb.Error(err)
				}
			}
		})
	}
	for n > 0 {
		ds, err := s.Lease(context.Background(), spool.LeaseRequest{Queue: queue, Session: "a",
			Max: min(64, n), MaxBytes: 4 << 20, Duration: time.Hour})
		if err != nil {
			tb.Fatal(err)
		}
		for _, d := range ds {
			work <- d
		}
		n -= len(ds)
	}
	close(work)
	wg.Wait()
}

func rate(b *testing.B, step string) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), step+"/s")
}

// costs reports the processor time of a step: other programs on the machine change the real one.
func costs(b *testing.B, cpu time.Duration) {
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N)/1000, "cpu-µs/op")
}

func BenchmarkPublish(b *testing.B) {
	for _, publishers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("publishers=%d", publishers), func(b *testing.B) {
			s := mustOpen(b, b.TempDir(), Options{}, realSeams())
			b.SetBytes(4096)
			b.ResetTimer()
			start := cpuTime()
			publishMany(b, s, b.N, publishers)
			costs(b, cpuTime()-start)
			rate(b, "publish")
		})
	}
}

func BenchmarkLeaseAndSettle(b *testing.B) {
	for _, settlers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("settlers=%d", settlers), func(b *testing.B) {
			s := mustOpen(b, b.TempDir(), Options{}, realSeams())
			publishMany(b, s, b.N, 64)
			b.ResetTimer()
			start := cpuTime()
			settleMany(b, s, "ca_rc_queue", b.N, settlers)
			costs(b, cpuTime()-start)
			rate(b, "settle")
		})
	}
}

// BenchmarkHead leases one delivery and returns it. Before it many were settled, or behind it many
// wait.
func BenchmarkHead(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		for _, settled := range []bool{true, false} {
			b.Run("waiting="+strconv.Itoa(n)+"/settled="+strconv.FormatBool(settled),
				func(b *testing.B) {
					if n > 1000 && !soak() {
						b.Skip("SKIPPED: takes minutes; set SEALPOST_SOAK")
					}
					s := mustOpen(b, b.TempDir(), Options{}, realSeams())
					publishMany(b, s, n, 256)
					if settled {
						settleMany(b, s, "ca_rc_queue", n, 256)
						publishMany(b, s, 1, 1)
					}
					b.ResetTimer()
					for range b.N {
						leaseAndReturn(b, s)
					}
				})
		}
	}
}

// BenchmarkTurns leases one delivery and returns it, with 20 waiting of each sender.
func BenchmarkTurns(b *testing.B) {
	for _, senders := range []int{1, 400, 4000} {
		b.Run("senders="+strconv.Itoa(senders), func(b *testing.B) {
			s := mustOpen(b, b.TempDir(), Options{}, realSeams())
			content, sum := benchContent()
			var next atomic.Int64
			inParallel(20*senders, 64, func() {
				e := smallEnvelope(content, sum)
				e.Sender = id.Site(fmt.Sprint("LAB-", next.Add(1)%int64(senders)))
				if _, err := s.Publish(b.Context(), e); err != nil {
					b.Error(err)
				}
			})
			b.ResetTimer()
			for range b.N {
				leaseAndReturn(b, s)
			}
		})
	}
}

func leaseAndReturn(b *testing.B, s *Spool) {
	b.Helper()
	ds, err := s.Lease(b.Context(), spool.LeaseRequest{Queue: "ca_rc_queue", Session: "a", Max: 1,
		MaxBytes: 1 << 20, Duration: time.Hour})
	if err != nil || len(ds) != 1 {
		b.Fatal(len(ds), err)
	}
	returnLease(s, ds[0])
}

// returnLease ends a lease without an attempt, as when the answer that handed it out was lost.
func returnLease(s *Spool, d spool.Delivery) {
	s.queue(d.Queue).Return([]queue.Lease{{Token: d.Token}})
}

// BenchmarkStage writes 256 MiB by parts, eight at a time.
func BenchmarkStage(b *testing.B) {
	s := mustOpen(b, b.TempDir(), Options{}, realSeams())
	part := make([]byte, spool.PartSize)
	rand.NewChaCha8([32]byte{2}).Read(part)
	sum := crc32.Checksum(part, castagnoli)
	const parts = 16
	b.SetBytes(parts * spool.PartSize)
	for range b.N {
		stageParts(b, s, part, sum, parts)
	}
}
