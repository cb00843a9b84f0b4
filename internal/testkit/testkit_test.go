package testkit

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// watched notes how a helper fails.
type watched struct {
	testing.TB
	fatal string
}

func (w *watched) Helper() {}

func (w *watched) Fatal(args ...any) {
	for _, a := range args {
		if err, ok := a.(error); ok {
			a = err.Error()
		}
		w.fatal += a.(string)
	}
	runtime.Goexit()
}

func (w *watched) Fatalf(format string, _ ...any) { w.Fatal(format) }

// failure returns the text with which a helper fails.
func failure(t *testing.T, f func(testing.TB)) string {
	w := &watched{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(w)
	}()
	<-done
	return w.fatal
}

func TestHelpersFail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.toml")
	Must(t, os.WriteFile(path, []byte("a = 1\nb = 2\n"), 0o600))
	for name, c := range map[string]struct {
		f    func(testing.TB)
		want string
	}{
		"no error": {func(t testing.TB) { Must(t, nil) }, ""},
		"an error": {func(t testing.TB) { Must(t, errors.New("broken")) }, "broken"},
		"an event": {func(t testing.TB) {
			Eventually(t, "now", func() bool { return true })
		}, ""},
		"an edit": {func(t testing.TB) {
			Edit(t, path, "a = 1", "a = 3", "b = 2", "b = 4")
		}, ""},
		"an edit of no use": {func(t testing.TB) { Edit(t, path, "c = 1", "c = 3") }, "has no"},
		"an event that never happens": {func(t testing.TB) {
			never, because := func() bool { return false }, func() string { return "because" }
			EventuallyWithin(t, 5*time.Millisecond, "never", never, because)
		}, "it did not happen: never\nbecause"},
	} {
		got := failure(t, c.f)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if text := Tail(path, 1); text != "b = 4" {
		t.Errorf("the tail is %q", text)
	}
}
