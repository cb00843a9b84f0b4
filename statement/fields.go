package statement

import (
	"time"

	"sealpost/internal/id"
)

// first returns the first error of a list of checks.
func first(checks ...error) error {
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	return nil
}

func version(v int) error {
	if v != 1 {
		return malformed("v: want 1, found %d; is it from a newer sealpost?", v)
	}
	return nil
}

func hash(field string, h id.Hash) error {
	if _, err := id.ParseHash(string(h)); err != nil {
		return malformed("%s: %v", field, err)
	}
	return nil
}

func identity[T ~string](field string, s T) error {
	if _, err := id.Parse128[T](string(s)); err != nil {
		return malformed("%s: %v", field, err)
	}
	return nil
}

func site(field string, s id.Site) error {
	if _, err := id.ParseSite(string(s)); err != nil {
		return malformed("%s: %v", field, err)
	}
	return nil
}

// moment checks a time: of this era and in UTC. It compares the location and not the offset, so
// that a forgotten UTC() shows in every time zone.
func moment(field string, t time.Time) error {
	if t.Location() != time.UTC || t.Year() < 2000 || t.Year() > 9999 {
		return malformed("%s: want a time in UTC, found %v", field, t)
	}
	return nil
}
