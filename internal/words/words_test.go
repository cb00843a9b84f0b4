package words

import (
	"testing"
	"time"
)

func TestAmounts(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Size(0), "0 B"}, {Size(1023), "1023 B"}, {Size(1536), "1.5 KiB"}, {Size(5 << 40), "5.0 TiB"}, {Size(5000 << 40), "5000.0 TiB"},
		{Duration(0), "1 s"}, {Duration(59 * time.Second), "59 s"}, {Duration(90 * time.Second), "2 min"}, {Duration(5 * time.Hour), "5 hours"}, {Duration(100 * time.Hour), "4 days"},
		{Time(time.Time{}), ""}, {Count(1, "file", "files"), "1 file"}, {Count(0, "file", "files"), "0 files"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
