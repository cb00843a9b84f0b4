package progress

import "io"

// Reader counts what is read through it.
type Reader struct {
	r     io.Reader
	meter *Meter
	count int64
}

// NewReader counts what is read from r.
func (m *Meter) NewReader(r io.Reader) *Reader { return &Reader{r: r, meter: m} }

func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.count += int64(n)
	r.meter.Add(int64(n))
	return n, err
}

// TakeBack says that what was read did not get through and will be read again.
func (r *Reader) TakeBack() {
	r.meter.Add(-r.count)
	r.count = 0
}
