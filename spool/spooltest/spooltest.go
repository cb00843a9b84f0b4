// Package spooltest holds the suite that every engine of package spool passes. It has one test per
// sentence of the contract, and a model that checks random stories.
//
// An engine's test calls Run with a Factory. The suite knows nothing of any engine: it opens, uses,
// closes and opens again. Time is the suite's: engines ask its clock, and a story moves it. Nothing
// here sleeps to let something happen.
package spooltest

import (
	"context"
	"sync"
	"testing"
	"time"

	"sealpost/spool"
)

// Store is everything that an engine offers.
type Store interface {
	spool.Spool
	spool.Registry
	spool.Admin
	spool.Holds
	spool.Audit
}

// Factory opens the store in a folder, or makes it there. The engine takes its time from the clock.
type Factory func(dir string, clock *Clock) (Store, error)

// Clock is the hub's clock, as the suite sets it.
type Clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

// NewClock starts at a fixed time.
func NewClock() *Clock {
	return &Clock{now: time.Date(2025, 10, 8, 9, 30, 0, 123e6, time.UTC)}
}

// Now returns the time. The engine calls it.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance sets the clock forward, or back.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Run runs the whole suite.
func Run(t *testing.T, open Factory) {
	groups := []struct {
		name  string
		tests map[string]func(*room)
	}{
		{"Publish", publishTests},
		{"Lease", leaseTests},
		{"Session", sessionTests},
		{"Number", numberTests},
		{"Release", releaseTests},
		{"Settle", settleTests},
		{"Content", contentTests},
		{"Stage", stageTests},
		{"Part", partTests},
		{"Quota", quotaTests},
		{"Events", eventTests},
		{"Known", knownTests},
		{"Find", findTests},
		{"Registry", registryTests},
		{"Admin", adminTests},
		{"Dead", deadTests},
		{"Forget", forgetTests},
		{"Hold", holdTests},
		{"Audit", auditTests},
		{"Life", lifeTests},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for name, test := range g.tests {
				t.Run(name, func(t *testing.T) { test(newRoom(t, open)) })
			}
		})
	}
	t.Run("Model", func(t *testing.T) { checkModel(t, open) })
}

// room is one test's store, with its folder and its clock.
type room struct {
	reporter
	Store
	tb    testing.TB
	dir   string
	clock *Clock
	open  Factory
	ctx   context.Context
}

// reporter is the part of a test that a room needs. A story of the model reports through it too.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// patience limits the wait for an event that must come. Only a failure uses it up.
const patience = 30 * time.Second

func newRoom(t testing.TB, open Factory) *room {
	t.Helper()
	// A call that should not wait fails at the limit.
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	r := &room{reporter: t, tb: t, dir: t.TempDir(), clock: NewClock(), open: open, ctx: ctx}
	r.start()
	t.Cleanup(func() { r.Store.Close() })
	return r
}

func (r *room) start() {
	r.Helper()
	s, err := r.open(r.dir, r.clock)
	if err != nil {
		r.Fatalf("open: %v", err)
	}
	r.Store = s
}

// restart closes the store and opens it again.
func (r *room) restart() {
	r.Helper()
	r.no(r.Store.Close())
	r.start()
}
