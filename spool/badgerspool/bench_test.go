package badgerspool

import (
	"context"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// smallEnvelope is what the benchmarks publish: 4 KiB of ciphertext for two recipients.
func smallEnvelope(content []byte, sum uint32) spool.Envelope {
	return spool.Envelope{
		ID: id.Random128[id.Envelope](), Sender: "FL-LAB", Address: id.Address{RoutingKey: "fl-lab.dat"},
		RouteVersion: "3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a",
		Size:         int64(len(content)), CRC32C: []uint32{sum}, Content: content,
		Messages:   []spool.Message{{ID: "FL-LAB_DAT_20251008_001", UID: id.Random128[id.UID](), Sent: time.Now()}},
		Deliveries: []spool.Target{{Site: "CA-RC", Queue: "ca_rc_queue"}, {Site: "SF-RC", Queue: "sf_rc_queue"}},
	}
}

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

func benchSpool(b *testing.B) *Spool {
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

func BenchmarkPublish(b *testing.B) {
	for _, publishers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("publishers=%d", publishers), func(b *testing.B) {
			s := benchSpool(b)
			content, sum := benchContent()
			b.ResetTimer()
			inParallel(b.N, publishers, func() {
				if _, err := s.Publish(context.Background(), smallEnvelope(content, sum)); err != nil {
					b.Error(err)
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "publish/s")
		})
	}
}
