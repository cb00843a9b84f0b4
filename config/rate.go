package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rate is a limit in bytes per second, with a timetable. "20MiB/s" applies always, and
// "Mon-Fri 07:00-19:00 5MiB/s, 20MiB/s" has another limit in working hours. The first period that
// the local time is in decides. The zero Rate has no limit.
type Rate struct {
	text    string
	periods []period
}

// period is a part of the week with its limit.
type period struct {
	days     [7]bool // by time.Weekday, of its begin
	from, to int     // minutes of the day; a period with from after to ends on the next day
	limit    Size    // in a second; 0: none
}

// leastRate is the lowest limit in a second. The hub ends slower requests.
const leastRate = 64 * kibi

const (
	unlimited = "unlimited"
	dayLength = 24 * 60 // minutes
)

// UnmarshalText reads periods that are separated by commas. Each has days, hours and a limit; days
// and hours may be absent.
func (r *Rate) UnmarshalText(text []byte) error {
	*r = Rate{text: string(text)}
	if len(text) == 0 {
		return nil
	}
	for one := range strings.SplitSeq(string(text), ",") {
		p, err := parsePeriod(strings.Fields(one))
		if err != nil {
			return fmt.Errorf(`%w, as in "20MiB/s" or "Mon-Fri 07:00-19:00 5MiB/s, 20MiB/s", `+
				`not %s`, err, quote([]byte(strings.TrimSpace(one))))
		}
		r.periods = append(r.periods, p)
	}
	return nil
}

// MarshalText writes the text that UnmarshalText has read.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.text), nil }

// IsLimit reports whether the rate ever limits anything.
func (r Rate) IsLimit() bool {
	return slices.ContainsFunc(r.periods, func(p period) bool { return p.limit > 0 })
}

// At returns the limit at a time, and the time at which it changes, by the clock of its zone.
// A limit of 0 is none, and the time is zero if the limit never changes.
func (r Rate) At(t time.Time) (bytes int64, until time.Time) {
	limit := r.limitAt(t)
	for day := range 9 { // a period of the last weekday can end on the day after
		for _, p := range r.periods {
			for _, minute := range []int{p.from, p.to} {
				at := time.Date(t.Year(), t.Month(), t.Day()+day, 0, minute, 0, 0, t.Location())
				isSooner := until.IsZero() || at.Before(until)
				if at.After(t) && isSooner && r.limitAt(at) != limit {
					until = at
				}
			}
		}
	}
	return int64(limit), until
}

func (r Rate) limitAt(t time.Time) Size {
	for _, p := range r.periods {
		if p.has(t) {
			return p.limit
		}
	}
	return 0
}

// has reports whether a time is in the period.
func (p period) has(t time.Time) bool {
	minute, day := t.Hour()*60+t.Minute(), t.Weekday()
	if p.from < p.to {
		return p.days[day] && p.from <= minute && minute < p.to
	}
	before := (day + 6) % 7
	return p.days[day] && minute >= p.from || p.days[before] && minute < p.to
}

// parsePeriod reads one period. Its error names the wanted form.
func parsePeriod(words []string) (p period, err error) {
	p = period{days: [7]bool{true, true, true, true, true, true, true}, to: dayLength}
	if len(words) > 1 && !strings.Contains(words[0], ":") {
		if p.days, err = parseDays(words[0]); err != nil {
			return p, err
		}
		words = words[1:]
	}
	if len(words) > 1 {
		if p.from, p.to, err = parseHours(words[0]); err != nil {
			return p, err
		}
		words = words[1:]
	}
	if len(words) != 1 {
		return p, errors.New("want days, hours and a limit")
	}
	if words[0] == unlimited {
		return p, nil
	}
	size, isRate := strings.CutSuffix(words[0], "/s")
	if !isRate || p.limit.UnmarshalText([]byte(size)) != nil || p.limit < leastRate {
		return p, fmt.Errorf(`want a limit of %s/s at least, or "%s"`, leastRate, unlimited)
	}
	return p, nil
}

// parseDays reads one day or a range of days, such as Mon-Fri.
func parseDays(text string) (days [7]bool, err error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, to := weekday(first), weekday(last)
	if from < 0 || to < 0 {
		return days, errors.New("want days such as Mon-Fri or Sun")
	}
	for day := from; ; day = (day + 1) % 7 {
		days[day] = true
		if day == to {
			return days, nil
		}
	}
}

// weekday returns the number of a day; negative: there is none of the name.
func weekday(name string) int {
	for day := range 7 {
		if strings.EqualFold(time.Weekday(day).String()[:3], name) {
			return day
		}
	}
	return -1
}

// parseHours reads hours such as 07:00-19:00.
func parseHours(text string) (from, to int, err error) {
	first, last, _ := strings.Cut(text, "-")
	from, to = minuteOf(first), minuteOf(last)
	if from < 0 || to < 0 || from == to || from == dayLength {
		return 0, 0, errors.New("want hours such as 07:00-19:00")
	}
	return from, to, nil
}

// minuteOf returns the minute of the day of a time such as 07:00; negative: it is none.
func minuteOf(text string) int {
	hours, minutes, _ := strings.Cut(text, ":")
	h, err := strconv.ParseUint(hours, 10, 8)
	m, err2 := strconv.ParseUint(minutes, 10, 8)
	minute := int(h*60 + m)
	if err != nil || err2 != nil || len(minutes) != 2 || m > 59 || minute > dayLength {
		return -1
	}
	return minute
}
