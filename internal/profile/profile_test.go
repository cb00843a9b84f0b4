package profile

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/internal/control"
)

// daemon answers on a control socket until the test ends.
func daemon(t *testing.T) *control.Client {
	t.Helper()
	dir := t.TempDir()
	mux := http.NewServeMux()
	Handle(mux)
	server, err := control.Listen(dir, mux)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return control.Dial(dir)
}

func TestEveryKindIsReadable(t *testing.T) {
	client := daemon(t)
	for _, kind := range append(append([]string{}, Over...), Now...) {
		body, err := client.Stream(t.Context(), Path,
			Request{Kind: kind, For: 20 * time.Millisecond})
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		data, err := io.ReadAll(body)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		body.Close()
		if kind == "trace" {
			if !bytes.HasPrefix(data, []byte("go 1.")) {
				t.Errorf("the trace begins with %.20q", data)
			}
			continue
		}
		zip, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if profile, err := io.ReadAll(zip); err != nil ||
			!bytes.Contains(profile, []byte("nanoseconds")) &&
				!bytes.Contains(profile, []byte("count")) {
			t.Errorf("%s: no profile: %v", kind, err)
		}
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	client := daemon(t)
	for want, r := range map[string]Request{
		"there is no profile":   {Kind: "plaintext", For: time.Second},
		"recorded for up to":    {Kind: "cpu"},
		"recorded for up to 10": {Kind: "cpu", For: Longest + 1},
	} {
		_, err := client.Stream(t.Context(), Path, r)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// A second request during a profile fails, and a caller that leaves ends its profile.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- take(ctx, Request{Kind: "block", For: Longest}, io.Discard) }()
		synctest.Wait()
		if err := take(t.Context(), Request{Kind: "heap"}, io.Discard); err == nil ||
			!strings.Contains(err.Error(), "another") {
			t.Errorf("a second profile: %v", err)
		}
		begun := time.Now()
		cancel()
		if err := <-done; err != nil || time.Since(begun) > time.Second {
			t.Errorf("the first ends after %s: %v", time.Since(begun), err)
		}
		if err := take(t.Context(), Request{Kind: "heap"}, io.Discard); err != nil {
			t.Error(err)
		}
	})
}
