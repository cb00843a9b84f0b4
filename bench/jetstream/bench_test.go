// Package jetstream compares the spool with NATS JetStream with sync-always, a common durable
// queue, on one disk. It publishes small envelopes, fetches them and acknowledges them. It is a
// module of its own, so that the program does not depend on a message broker.
package jetstream

import (
	"context"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool"
)

var content = func() []byte {
	b := make([]byte, 4096) // nothing compresses it
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}()

var workers = []int{1, 64, 256}

// inParallel runs f n times in so many goroutines.
func inParallel(n, workers int, f func() error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, workers)
	for range workers {
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				if err := f(); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

func report(b *testing.B) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s") }

// store is one of the two: publish returns when a message is durable; drain fetches and
// acknowledges n.
type store interface {
	publish() error
	drain(n, workers int) error
}

func stores(b *testing.B) map[string]store {
	return map[string]store{"spool": openSpool(b), "jetstream": openJetStream(b)}
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range workers {
		for name, s := range stores(b) {
			b.Run(fmt.Sprintf("%s/publishers=%d", name, n), func(b *testing.B) {
				b.SetBytes(int64(len(content)))
				if err := inParallel(b.N, n, s.publish); err != nil {
					b.Fatal(err)
				}
				report(b)
			})
		}
	}
}

func BenchmarkDrain(b *testing.B) {
	for _, n := range workers {
		for name, s := range stores(b) {
			b.Run(fmt.Sprintf("%s/workers=%d", name, n), func(b *testing.B) {
				if err := inParallel(b.N, 64, s.publish); err != nil {
					b.Fatal(err)
				}
				b.ResetTimer()
				if err := s.drain(b.N, n); err != nil {
					b.Fatal(err)
				}
				report(b)
			})
		}
	}
}

type spoolStore struct{ *badgerspool.Spool }

func openSpool(b *testing.B) store {
	s, err := badgerspool.Open(b.TempDir(), badgerspool.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return spoolStore{s}
}

func (s spoolStore) publish() error {
	_, err := s.Publish(context.Background(), spool.Envelope{
		ID: id.Random128[id.Envelope](), Sender: "FL-LAB",
		Address:      id.Address{RoutingKey: "fl-lab.dat"},
		RouteVersion: "3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a",
		Size:         int64(len(content)),
		CRC32C:       []uint32{crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli))},
		Content:      content,
		Messages: []spool.Message{{ID: "FL-LAB_DAT_20251008_001", UID: id.Random128[id.UID](),
			Sent: time.Now().UTC()}},
		Deliveries: []spool.Target{{Site: "CA-RC", Queue: "ca_rc_queue"}},
	})
	return err
}

func (s spoolStore) drain(n, workers int) error {
	leased := make(chan spool.Delivery, 64)
	go func() {
		defer close(leased)
		for left := n; left > 0; {
			list, err := s.Lease(context.Background(), spool.LeaseRequest{Queue: "ca_rc_queue",
				Session: "a", Max: min(64, left), MaxBytes: 4 << 20, Duration: time.Hour})
			if err != nil {
				return
			}
			left -= len(list)
			for _, d := range list {
				leased <- d
			}
		}
	}()
	return inParallel(n, workers, func() error {
		d := <-leased
		_, err := s.Settle(context.Background(), spool.Settlement{Delivery: d.DeliveryID,
			Sender: d.Sender, Receipt: "receipt",
			Outcomes: []spool.Outcome{{UID: d.Messages[0].UID, Message: d.Messages[0].ID,
				Outcome: spool.OutcomeDelivered}}})
		return err
	})
}

type jetStream struct {
	js       jetstream.JetStream
	consumer jetstream.Consumer
}

// openJetStream starts an embedded server and one durable consumer with confirmed acknowledgements.
// Its stream on disk syncs every write before it acknowledges it.
func openJetStream(b *testing.B) store {
	s, err := server.NewServer(&server.Options{Port: -1, JetStream: true, StoreDir: b.TempDir(),
		SyncAlways: true, NoLog: true, NoSigs: true})
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	b.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		b.Fatal("the server does not start")
	}
	// no network in between, as for the spool
	nc, err := nats.Connect(s.ClientURL(), nats.InProcessServer(s))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "Q", Subjects: []string{"q"},
		Storage: jetstream.FileStorage, Retention: jetstream.WorkQueuePolicy})
	if err != nil {
		b.Fatal(err)
	}
	consumer, err := stream.CreateConsumer(ctx,
		jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy,
			MaxAckPending: 8192})
	if err != nil {
		b.Fatal(err)
	}
	return jetStream{js, consumer}
}

func (j jetStream) publish() error {
	_, err := j.js.Publish(context.Background(), "q", content)
	return err
}

func (j jetStream) drain(n, workers int) error {
	fetched := make(chan jetstream.Msg, 64)
	go func() {
		defer close(fetched)
		for left := n; left > 0; {
			batch, err := j.consumer.Fetch(min(64, left))
			if err != nil {
				return
			}
			for m := range batch.Messages() {
				left--
				fetched <- m
			}
		}
	}()
	return inParallel(n, workers, func() error {
		m, ok := <-fetched
		if !ok {
			return fmt.Errorf("the consumer ended early")
		}
		return m.DoubleAck(context.Background()) // confirmed, as a settlement is
	})
}
