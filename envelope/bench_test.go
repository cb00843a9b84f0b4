package envelope

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"sealpost/internal/id"
)

var benchSites = []id.Site{"CA-RC", "NY-RC", "SF-RC"}

// discard is a Sink that keeps nothing.
type discard struct{}

func (discard) Dir(int, string, time.Time) error { return nil }

func (discard) Signed([]byte) error { return nil }

func (discard) File(int, string, bool, time.Time, int64) (io.WriteCloser, error) {
	return discard{}, nil
}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func (discard) Close() error { return nil }

// smallRequest is an envelope with n files of 1,000 bytes.
func smallRequest(b *testing.B, w *world, n, recipients int) SealRequest {
	var messages []Message
	for i := range int64(n) {
		messages = append(messages, file(i+1, fmt.Sprintf("data-%d.csv", i),
			strings.Repeat("x", 1000)))
	}
	req := w.request(b, messages, benchSites[:recipients]...)
	for i := range req.Recipients {
		var err error
		if req.Recipients[i], err = req.Recipients[i].Prepare(); err != nil {
			b.Fatal(err)
		}
	}
	return req
}

func BenchmarkSealSmall(b *testing.B) {
	eachSmall(b, func(b *testing.B, w *world, req SealRequest) {
		identity := w.site(b, "FL-LAB").identity
		var out bytes.Buffer
		b.ReportAllocs()
		for b.Loop() {
			out.Reset()
			if _, err := Seal(&out, req, identity); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkOpenSmall(b *testing.B) {
	eachSmall(b, func(b *testing.B, w *world, req SealRequest) {
		ciphertext, want, _ := w.seal(b, req)
		o := w.opener(b, "CA-RC")
		b.ReportAllocs()
		for b.Loop() {
			if _, err := o.Open(bytes.NewReader(ciphertext), want, discard{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func eachSmall(b *testing.B, bench func(*testing.B, *world, SealRequest)) {
	for _, suite := range []string{SuiteHybrid, SuiteX25519} {
		w := newWorld(b, suite)
		for _, recipients := range []int{1, 3} {
			for _, messages := range []int{1, 256} {
				b.Run(fmt.Sprintf("%s/recipients=%d/messages=%d", suite, recipients, messages),
					func(b *testing.B) {
						bench(b, w, smallRequest(b, w, messages, recipients))
						b.ReportMetric(float64(messages)*float64(b.N)/b.Elapsed().Seconds(),
							"messages/s")
					})
			}
		}
	}
}

// endless gives zeros, as many as asked for.
type endless struct{ left int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), e.left))
	e.left -= int64(n)
	return n, nil
}

const large = 256 << 20

func largeRequest(b *testing.B, w *world) SealRequest {
	e := Entry{Path: "big", Size: large, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(&endless{large}), nil
	}}
	return w.request(b, []Message{message(1, "big", TypeFile, e)}, "CA-RC")
}

func BenchmarkSealLarge(b *testing.B) {
	w := newWorld(b, SuiteHybrid)
	req, identity := largeRequest(b, w), w.site(b, "FL-LAB").identity
	b.SetBytes(large)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Seal(io.Discard, req, identity); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenLarge(b *testing.B) {
	w := newWorld(b, SuiteHybrid)
	ciphertext, want, _ := w.seal(b, largeRequest(b, w))
	o := w.opener(b, "CA-RC")
	b.SetBytes(large)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.Open(bytes.NewReader(ciphertext), want, discard{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSealFolder seals a folder of many small files.
func BenchmarkSealFolder(b *testing.B) {
	const n = 10_000
	w := newWorld(b, SuiteHybrid)
	entries := []Entry{folder("set")}
	for i := range n {
		entries = append(entries, memory(fmt.Sprintf("set/%06d", i), "content"))
	}
	req := w.request(b, []Message{message(1, "set", TypeFolder, entries...)}, "CA-RC")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Seal(io.Discard, req, w.site(b, "FL-LAB").identity); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
