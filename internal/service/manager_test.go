package service

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestNamesAndFoldersThatAreTaken(t *testing.T) {
	all := []State{{Service: "sealpost-agent@FL-LAB", Folder: "/srv/fl"},
		{Service: "sealpost-agent@second", Folder: "/srv/ca"}, {Service: "sealpost-agent@odd"}}
	for _, c := range []struct{ name, instance, dir, want string }{
		{"the same again", "FL-LAB", "/srv/fl", ""},
		{"a new one", "SF-RC", "/srv/sf", ""},
		{"of one whose folder nobody knows", "odd", "/srv/odd", ""},
		{"the name of another", "FL-LAB", "/srv/new", "the name FL-LAB is taken: " +
			"sealpost-agent@FL-LAB serves /srv/fl; choose another with --name"},
		{"the folder of another", "CA-RC", "/srv/ca", "/srv/ca is taken: sealpost-agent@second " +
			"serves it already; take that service away first: sealpost agent uninstall --name " +
			"second"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := clash(Installation{Instance: Instance{Kind: Agent, Name: c.instance},
				Dir: c.dir}, all)
			if c.want == "" && err != nil || c.want != "" &&
				(!errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// deaf is a service that listens to a stop only after a while, and then takes a while to stop.
type deaf struct {
	until, stopTime time.Duration
	began, told     time.Time
	broken          error
}

func (d *deaf) stop() (bool, error) {
	if time.Since(d.began) < d.until {
		return false, nil
	}
	if d.told.IsZero() {
		d.told = time.Now()
	}
	return true, d.broken
}

func (d *deaf) stopped() (bool, error) {
	return !d.told.IsZero() && time.Since(d.told) >= d.stopTime, nil
}

func TestStopWaitsUntilTheServiceListens(t *testing.T) {
	broken := errors.New("access denied")
	for _, c := range []struct {
		name string
		d    deaf
		want string
	}{
		{"running", deaf{stopTime: 5 * time.Second}, ""},
		{"starting", deaf{until: 10 * time.Second, stopTime: time.Second}, ""},
		{"never stops", deaf{stopTime: time.Hour}, "it has not stopped within 40 s"},
		{"never listens", deaf{until: time.Hour}, "it has not stopped within 40 s"},
		{"not allowed", deaf{stopTime: time.Hour, broken: broken}, "access denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.d.began = time.Now()
				err := stopWhenPossible(&c.d, stopTime)
				if got := errorText(err); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				if c.want == "" && time.Since(c.d.began) > c.d.until+c.d.stopTime+time.Second {
					t.Errorf("it took %s", time.Since(c.d.began))
				}
			})
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
