// Package testkit holds the small helpers that tests of many packages share.
//
// It imports no package of a room, so that every package's own tests may use it. Helpers fail at
// the caller's line. No product code may import it: internal/arch holds that.
package testkit

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/internal/freeport"
)

// Patience is the time for which a story waits for an event that must happen. Only a failure uses
// it up.
const Patience = 3 * time.Minute

// Must fails the test if there is an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Eventually waits until a condition holds. Each why, if it never does, adds to the failure.
func Eventually(t testing.TB, event string, holds func() bool, why ...func() string) {
	t.Helper()
	EventuallyWithin(t, Patience, event, holds, why...)
}

// EventuallyWithin is Eventually with a limit of its own.
func EventuallyWithin(
	t testing.TB, limit time.Duration, event string, holds func() bool, why ...func() string,
) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for pause := time.Millisecond; !holds(); pause = min(2*pause, 100*time.Millisecond) {
		if time.Now().After(deadline) {
			text := "it did not happen: " + event
			for _, w := range why {
				text += "\n" + w()
			}
			t.Fatal(text)
		}
		time.Sleep(pause)
	}
}

// FreeAddress returns an address of this machine that is free.
func FreeAddress(t testing.TB) string {
	t.Helper()
	addr, err := freeport.Address()
	Must(t, err)
	return addr
}

// Edit replaces pairs of texts in a file; each must be there.
func Edit(t testing.TB, path string, pairs ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	Must(t, err)
	for i := 0; i < len(pairs); i += 2 {
		if !bytes.Contains(text, []byte(pairs[i])) {
			t.Fatalf("%s has no %q", filepath.Base(path), pairs[i])
		}
		text = bytes.ReplaceAll(text, []byte(pairs[i]), []byte(pairs[i+1]))
	}
	Must(t, os.WriteFile(path, text, 0o600))
}

// Tail returns the last lines of a file, or the error that it cannot be read.
func Tail(path string, lines int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Journal keeps a log in memory. Its methods may be called concurrently.
type Journal struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

// Write implements io.Writer.
func (j *Journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// String returns the whole log.
func (j *Journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// Count returns how often a text stands in the log.
func (j *Journal) Count(text string) int { return strings.Count(j.String(), text) }
