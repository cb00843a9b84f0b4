package progress

import "io"

// Reader counts the bytes that are read through it.
type Reader struct {
	r     io.Reader
	meter *Meter
	count int64
}

// NewReader returns a Reader that counts the bytes of r.
func (m *Meter) NewReader(r io.Reader) *Reader { return &Reader{r: r, meter: m} }

func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.count += int64(n)
	r.meter.Add(int64(n))
	return n, err
}

// TakeBack takes back the counted bytes, after a failed transfer that will be repeated.
func (r *Reader) TakeBack() {
	r.meter.Add(-r.count)
	r.count = 0
}
