package words

import (
	"testing"
	"time"

	"sealpost/internal/progress"
)

func TestAmounts(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Size(0), "0 B"}, {Size(1023), "1023 B"}, {Size(1536), "1.5 KiB"}, {Size(5 << 40), "5.0 TiB"}, {Size(5000 << 40), "5000.0 TiB"},
		{Duration(0), "1 s"}, {Duration(59 * time.Second), "59 s"}, {Duration(90 * time.Second), "2 min"}, {Duration(5 * time.Hour), "5 hours"}, {Duration(100 * time.Hour), "4 days"},
		{Time(time.Time{}), ""}, {Count(1, "file", "files"), "1 file"}, {Count(0, "file", "files"), "0 files"},
		{Progress(progress.State{Done: 1 << 20, Size: 4 << 20, Rate: 1 << 20, Left: 3 * time.Second}), "25 % of 4.0 MiB, 1.0 MiB/s, about 3 s left"},
		{Progress(progress.State{Done: 1 << 20, Size: 4 << 20}), "25 % of 4.0 MiB, standing still or just begun"},
		{Progress(progress.State{Done: 4 << 20, Size: 4 << 20}), "100 % of 4.0 MiB"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
