package reason

import "testing"

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		New("hub-above-reserve", "free", Size(5<<30), "reserve", Size(1<<30))
	}
}

func BenchmarkIn(b *testing.B) {
	r := New("hub-above-reserve", "free", Size(5<<30), "reserve", Size(1<<30))
	b.ReportAllocs()
	for b.Loop() {
		_ = r.In(German)
	}
}
