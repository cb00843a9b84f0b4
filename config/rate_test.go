package config

import (
	"strings"
	"testing"
	"time"
)

// day returns a time of the week of Monday, 7 December 2026.
func day(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04", text, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestRates(t *testing.T) {
	const week = "Mon-Fri 07:00-19:00 5MiB/s, 20MiB/s"
	const night = "22:00-06:00 unlimited, Sat-Sun 1MiB/s, 64KiB/s"
	for _, c := range []struct {
		rate, now string
		limit     Size
		until     string
	}{
		{"", "2026-12-07 08:00", 0, ""},
		{"20MiB/s", "2026-12-07 08:00", 20 * mebi, ""},
		{"unlimited", "2026-12-07 08:00", 0, ""},
		{"07:00-19:00 5MiB/s", "2026-12-07 06:59", 0, "2026-12-07 07:00"},
		{"07:00-19:00 5MiB/s", "2026-12-07 07:00", 5 * mebi, "2026-12-07 19:00"},
		{"07:00-19:00 5MiB/s", "2026-12-07 19:00", 0, "2026-12-08 07:00"},
		{week, "2026-12-11 18:59", 5 * mebi, "2026-12-11 19:00"}, // a Friday
		{week, "2026-12-11 19:00", 20 * mebi, "2026-12-14 07:00"},
		{night, "2026-12-11 23:00", 0, "2026-12-12 06:00"},
		{night, "2026-12-12 05:59", 0, "2026-12-12 06:00"},
		{night, "2026-12-12 06:00", mebi, "2026-12-12 22:00"},
		{night, "2026-12-14 21:00", 64 * kibi, "2026-12-14 22:00"},
		{"Sun 22:00-02:00 1MiB/s", "2026-12-07 01:00", mebi, "2026-12-07 02:00"},
		{"Sun 22:00-02:00 1MiB/s", "2026-12-06 01:00", 0, "2026-12-06 22:00"},
		{"Sun 22:00-02:00 1MiB/s", "2026-12-07 02:00", 0, "2026-12-13 22:00"},
		{"Fri-Mon 00:00-24:00 1MiB/s", "2026-12-07 23:59", mebi, "2026-12-08 00:00"},
		{"fri-mon 1MiB/s", "2026-12-08 00:00", 0, "2026-12-11 00:00"},
	} {
		var r Rate
		if err := r.UnmarshalText([]byte(c.rate)); err != nil {
			t.Errorf("%s: %v", c.rate, err)
			continue
		}
		limit, until := r.At(day(t, c.now))
		want := time.Time{}
		if c.until != "" {
			want = day(t, c.until)
		}
		if Size(limit) != c.limit || !until.Equal(want) {
			t.Errorf("%q at %s: %s until %s, want %s until %s", c.rate, c.now, Size(limit), until,
				c.limit, want)
		}
		if text, err := r.MarshalText(); err != nil || string(text) != c.rate {
			t.Errorf("%q is written as %q (%v)", c.rate, text, err)
		}
		if r.IsLimit() != strings.Contains(c.rate, "B/s") {
			t.Errorf("%q: is a limit: %t", c.rate, r.IsLimit())
		}
	}
}

// A period begins by the local clock, on the day of summer time too.
func TestRateOfDaysWithChangedClocks(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("SKIPPED: no time zones here: ", err)
	}
	var r Rate
	if err := r.UnmarshalText([]byte("07:00-19:00 5MiB/s")); err != nil {
		t.Fatal(err)
	}
	for _, on := range []int{28, 29} { // of March 2026: the last Sunday is the 29th
		_, until := r.At(time.Date(2026, 3, on, 1, 0, 0, 0, berlin))
		if until.Hour() != 7 || until.Day() != on {
			t.Errorf("on %d March the limit changes at %s", on, until)
		}
	}
}

func TestRatesThatAreWrong(t *testing.T) {
	for _, text := range []string{"20", "20MiB", "20MB/s", "0B/s", "63KiB/s", "5MiB/s,", ",",
		"07:00-19:00", "07:00 5MiB/s", "7-19 5MiB/s", "07:00-07:00 5MiB/s", "07:60-19:00 5MiB/s",
		"24:00-06:00 5MiB/s", "07:00-24:01 5MiB/s", "-1:00-02:00 5MiB/s", "Mo-Fr 5MiB/s",
		"Mon- 5MiB/s", "Mon-Fri 07:00-19:00 5MiB/s 20MiB/s", "07:00-19:00 Mon-Fri 5MiB/s",
		"07:0-19:00 5MiB/s", "Mon,Tue 5MiB/s"} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a rate", text)
		}
	}
}

// FuzzRate reads any text. The limit of a rate changes at the time that At returns, and not before.
func FuzzRate(f *testing.F) {
	f.Add("Mon-Fri 07:00-19:00 5MiB/s, 20MiB/s", uint32(500), uint32(9000))
	f.Add("22:00-06:00 unlimited, Sat-Sun 1MiB/s, 64KiB/s", uint32(0), uint32(1))
	f.Add("Sun 22:00-02:00 1MiB/s", uint32(10080), uint32(70000))
	f.Fuzz(func(t *testing.T, text string, minute, later uint32) {
		var r Rate
		if r.UnmarshalText([]byte(text)) != nil || len(r.periods) > 100 {
			return
		}
		const most = 100 * 7 * dayLength // so many minutes are looked at
		now := day(t, "2026-12-07 00:00").Add(time.Duration(minute%most) * time.Minute)
		limit, until := r.At(now)
		if limit != 0 && limit < int64(leastRate) {
			t.Errorf("a limit of %d", limit)
		}
		then := now.Add(time.Duration(later%most) * time.Minute)
		isSame := until.IsZero() || then.Before(until)
		if got, _ := r.At(then); isSame && got != limit {
			t.Errorf("%s: %d at %s, and %d at %s, before %s", text, limit, now, got, then, until)
		}
		if got, _ := r.At(until); !until.IsZero() && (got == limit || !until.After(now)) {
			t.Errorf("%s: at %s nothing changes", text, until)
		}
	})
}
