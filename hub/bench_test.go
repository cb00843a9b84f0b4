package hub

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// publishers send as one lab does that has much to send.
const publishers = 64

// BenchmarkPublish is small envelopes through TLS, HTTP and the spool to the disk, from 64
// publishers of two labs.
func BenchmarkPublish(b *testing.B) {
	q := openHeadquarters(b)
	labs := []*station{q.lab("FL-LAB"), q.lab("PA-LAB")}
	q.centre("CA-RC", "#")
	content := make([]byte, 4<<10)
	heads := make([]api.PublishRequest, len(labs))
	for i, lab := range labs {
		heads[i] = lab.head(key([]string{"fl-lab.dat", "pa-lab.dat"}[i]), content)
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var wg sync.WaitGroup
	for n := range publishers {
		lab, head := labs[n%2], heads[n%2]
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				in := head
				in.Envelope = id.Random128[id.Envelope]()
				in.Messages = []spool.Message{head.Messages[0]}
				in.Messages[0].UID = id.Random128[id.UID]()
				for {
					_, err := lab.Publish(b.Context(), in, content)
					if err == nil {
						break
					}
					if !api.Retry(err) {
						b.Error(err)
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "envelopes/s")
}

// BenchmarkLease is small envelopes that wait in a queue, leased and settled 16 at a time.
func BenchmarkLease(b *testing.B) {
	q := openHeadquarters(b)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	for range b.N {
		lab.send(key("fl-lab.dat"), "x")
	}
	b.ResetTimer()
	for n := 0; n < b.N; {
		got, err := centre.Lease(b.Context(), api.LeaseRequest{Session: centre.session(), Max: 16,
			MaxBytes: api.MaxLease, Wait: api.MaxWait})
		if err != nil {
			b.Fatal(err)
		}
		var all []api.Settlement
		for _, d := range got {
			all = append(all, api.Settlement{Delivery: d.DeliveryID,
				Receipt: sign(centre, centre.receipt(d))})
		}
		if _, err := centre.Settle(b.Context(), all); err != nil {
			b.Fatal(err)
		}
		n += len(got)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}

// BenchmarkUpload is parts of 16 MiB, four at a time.
func BenchmarkUpload(b *testing.B) {
	q := openHeadquarters(b)
	lab := q.lab("FL-LAB")
	content := bytes.Repeat([]byte("0123456789abcdef"), spool.PartSize/16)
	sum := checksums(content)[0]
	up := api.UploadRequest{Envelope: id.Random128[id.Envelope](),
		Size: int64(b.N) * spool.PartSize}
	if _, err := lab.OpenUpload(b.Context(), up); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(spool.PartSize)
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= b.N {
					return
				}
				if err := lab.PutPart(b.Context(), up.Envelope, n, sum, bytes.NewReader(content),
					spool.PartSize); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkContent is ranges of 4 MiB of one delivery, four at a time.
func BenchmarkContent(b *testing.B) {
	q := openHeadquarters(b)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	lab.upload(key("fl-lab.dat"), make([]byte, 4*spool.PartSize))
	d := centre.take()
	b.SetBytes(api.RangeSize)
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := next.Add(1) - 1; n < int64(b.N); n = next.Add(1) - 1 {
				centre.read(d, n*api.RangeSize%d.Size, api.RangeSize)
			}
		})
	}
	wg.Wait()
}
