package config

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSizeText(t *testing.T) {
	for text, want := range map[string]Size{
		"0B": 0, "1B": 1, "1000B": 1000, "1KiB": 1 << 10, "64 MiB": 64 << 20, "5GiB": 5 << 30,
		"8388607TiB": 8388607 << 40,
	} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "B", "GiB", "5gib", "5GB", "5K", "1.5GiB", "-1B", "+1B",
		"0x1B", "8388608TiB", "1  GiB", " 1GiB", "1e3B"} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken for %s", text, got)
		}
	}
}

func TestDurationText(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		text string
	}{{0, "0s"}, {2 * time.Second, "2s"}, {10 * time.Minute, "10m"}, {time.Hour, "1h"},
		{90 * time.Minute, "1h30m"}, {time.Hour + time.Second, "1h0m1s"},
		{time.Millisecond, "1ms"}} {
		if got := Duration(c.d).String(); got != c.text {
			t.Errorf("%v is written %s, want %s", c.d, got, c.text)
		}
	}
}

func TestValuesReadBackWhatTheyWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := Size(rapid.Int64Min(0).Draw(t, "size"))
		text, err := size.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var repeated Size
		if err := repeated.UnmarshalText(text); err != nil || repeated != size {
			t.Fatalf("%s became %d, %v", text, repeated, err)
		}
		duration := Duration(rapid.Int64Min(0).Draw(t, "duration"))
		text, err = duration.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var later Duration
		if err := later.UnmarshalText(text); err != nil || later != duration {
			t.Fatalf("%s became %d, %v", text, later, err)
		}
	})
}
