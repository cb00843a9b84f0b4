package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/internal/reason"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type greeting struct {
	Name string `json:"name"`
}

var inner = reason.Err("way-open", "path", "/srv/<a> & b")

// refusals are errors of handlers, by the name in the request.
var refusals = map[string]error{
	"reason":  reason.Err("secrets-closed", "folder", "/ü", "why", inner),
	"wrapped": fmt.Errorf("open: %w; stop", inner),
	"plain":   errors.New("disk \"a\"\nis full"),
}

// daemon starts a server on stateDir that greets, fails and streams. It stops at the test's end, or
// by stop.
func daemon(t *testing.T, stateDir string) (stop func() error) {
	t.Helper()
	mux := http.NewServeMux()
	Handle(mux, "/greet", func(_ context.Context, in greeting) (greeting, error) {
		if in.Name == "" {
			return greeting{}, errors.New("nobody to greet; give a name")
		}
		return greeting{Name: "hello " + in.Name}, nil
	})
	Handle(mux, "/refuse", func(_ context.Context, in greeting) (greeting, error) {
		return greeting{}, refusals[in.Name]
	})
	HandleStream(mux, "/count", func(ctx context.Context, in greeting, w io.Writer) error {
		if in.Name == "" {
			return errors.New("nobody to count for; give a name")
		}
		fmt.Fprintln(w, "one for", in.Name)
		<-ctx.Done()
		fmt.Fprintln(w, "stopped")
		return ctx.Err()
	})
	server, err := Listen(stateDir, mux)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	var ended error
	stopped := false
	stop = func() error {
		if !stopped {
			cancel()
			ended, stopped = <-done, true
		}
		return ended
	}
	t.Cleanup(func() { stop() })
	return stop
}

func TestCallReachesTheDaemon(t *testing.T) {
	dir := shortDir(t)
	daemon(t, dir)
	var answer greeting
	if err := Dial(dir).Call(t.Context(), "/greet", greeting{"FL-LAB"}, &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Name != "hello FL-LAB" {
		t.Errorf("answer %q", answer.Name)
	}
	if err := Dial(dir).Call(t.Context(), "/greet", greeting{"FL-LAB"}, nil); err != nil {
		t.Errorf("call without interest in the answer: %v", err)
	}
}

func TestErrorIsTheDaemonsOwnText(t *testing.T) {
	dir := shortDir(t)
	daemon(t, dir)
	client := Dial(dir)
	for _, c := range []struct {
		name, path string
		in         any
		want       string
	}{
		{"handler", "/greet", greeting{}, "nobody to greet; give a name"},
		{"stream", "/count", greeting{}, "nobody to count for; give a name"},
		{"unknown path", "/dance", greeting{}, "the daemon does not know /dance; is it of " +
			"another version?"},
		{"unknown field", "/greet", map[string]int{"age": 3},
			"the daemon does not understand the request; is it of another version? " +
				`(json: unknown field "age")`},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := client.Call(t.Context(), c.path, c.in, nil)
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestReasonsReachTheCaller(t *testing.T) {
	dir := shortDir(t)
	daemon(t, dir)
	for name, want := range refusals {
		got := Dial(dir).Call(t.Context(), "/refuse", greeting{name}, nil)
		if got == nil || reason.Of(got) != reason.Of(want) || got.Error() != want.Error() {
			t.Errorf("%s: got %#v, want %#v", name, got, want)
		}
	}
}

// A client without reasons, of an older version, gets the text.
func TestAnOlderClientGetsTheText(t *testing.T) {
	for name, err := range refusals {
		w := httptest.NewRecorder()
		Hindered(err).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
		if got := w.Body.String(); got != err.Error()+"\n" || w.Code != 503 {
			t.Errorf("%s: got %d %q", name, w.Code, got)
		}
	}
}

func TestAnyFailedAnswerIsAnError(t *testing.T) {
	for _, c := range []struct {
		status             int
		kind, body, want   string
		isHindered, isText bool
	}{
		{422, "text/plain; charset=utf-8", "too old\n", "too old", false, true},
		{422, reasonType, `{"code":"way-open","args":{"path":"/"}}`,
			"every account may write to /", false, false},
		{503, reasonType, `{"code":"way-open","args":{"path":"/"}}`,
			"every account may write to /", true, false},
		{422, reasonType, `{"code":"new","args":{"a":1}}`, `new {"a":1}`, false, false},
		{422, reasonType, `{"code":"way-open","args":[1]}`, `way-open [1]`, false, false},
		{422, reasonType, `{"code":1}`, `{"code":1}`, false, true},
		{422, reasonType, `{"code":"`, `{"code":"`, false, true},
		{503, reasonType, `null`, "null", true, true},
		{422, reasonType, "", "422 Unprocessable Entity", false, true},
		{503, "", "\x00\xff", "\x00\ufffd", true, true},
	} {
		answer := &http.Response{StatusCode: c.status, Header: http.Header{},
			Status: fmt.Sprint(c.status, " ", http.StatusText(c.status)),
			Body:   io.NopCloser(strings.NewReader(c.body))}
		answer.Header.Set("Content-Type", c.kind)
		err := refusal("/x", answer)
		if err == nil || err.Error() != c.want || errors.Is(err, ErrHindered) != c.isHindered {
			t.Errorf("%q: got %v, want %q", c.body, err, c.want)
		}
		own, ok := errors.AsType[*reason.Error](err)
		if !ok || (own.Code == "text") != c.isText {
			t.Errorf("%q: got %#v", c.body, own)
		}
	}
}

func TestRequestThatCannotBeEncoded(t *testing.T) {
	if err := Dial(shortDir(t)).Call(t.Context(), "/greet", make(chan int), nil); err == nil {
		t.Error("a channel was sent as JSON")
	}
}

func TestAnswerThatIsNotJSON(t *testing.T) {
	dir := shortDir(t)
	daemon(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var answer greeting
	err := Dial(dir).Call(ctx, "/count", greeting{"x"}, &answer)
	if err == nil || !strings.Contains(err.Error(), "the daemon's answer to /count") {
		t.Errorf("got %v", err)
	}
}

func TestStreamComesBitByBitAndEndsWithTheDaemon(t *testing.T) {
	dir := shortDir(t)
	stop := daemon(t, dir)
	body, err := Dial(dir).Stream(t.Context(), "/count", greeting{"FL-LAB"})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	if !lines.Scan() || lines.Text() != "one for FL-LAB" {
		t.Fatalf("first line %q, %v", lines.Text(), lines.Err())
	}
	if err := stop(); err != nil {
		t.Errorf("daemon ended with %v", err)
	}
	if !lines.Scan() || lines.Text() != "stopped" || lines.Scan() {
		t.Errorf("the stream did not end as the handler did: %q", lines.Text())
	}
}

// A daemon that stops while it is asked closes the connection.
func TestTheDaemonStopsBeforeItsAnswer(t *testing.T) {
	for name, said := range map[string]string{"with nothing": "",
		"within the answer": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"} {
		dir := shortDir(t)
		stop := daemon(t, dir)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		s, err := Listen(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if conn, err := s.listener.Accept(); err == nil {
				http.ReadRequest(bufio.NewReader(conn)) //nolint:errcheck // the answer is the test
				io.WriteString(conn, said)              //nolint:errcheck // likewise
				conn.Close()
			}
		}()
		var answer greeting
		err = Dial(dir).Call(t.Context(), "/greet", greeting{"x"}, &answer)
		if reason.Of(err).Code != "daemon-stopped" || !IsAway(err) {
			t.Errorf("%s: %v", name, err)
		}
		<-ended
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	dir := shortDir(t)
	call := func() error { return Dial(dir).Call(t.Context(), "/greet", greeting{"x"}, nil) }
	if err := call(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	daemon(t, dir)()
	if err := call(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after a clean end: %v", err)
	}
	leaveSocket(t, dir)
	if err := call(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("socket of a dead daemon: %v", err)
	}
	if err := Dial(filepath.Join(dir, "absent")).Call(t.Context(), "/greet", nil,
		nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no state folder: %v", err)
	}
}

func TestStaleSocketIsReplacedAndLiveOneIsNot(t *testing.T) {
	dir := shortDir(t)
	leaveSocket(t, dir)
	daemon(t, dir)
	if _, err := Listen(dir, http.NewServeMux()); !errors.Is(err, ErrRunning) {
		t.Errorf("second daemon: %v", err)
	}
	if err := Dial(dir).Call(t.Context(), "/greet", greeting{"x"}, nil); err != nil {
		t.Errorf("the live one was harmed: %v", err)
	}
}

func TestListenWhereNothingCanBeMade(t *testing.T) {
	dir := shortDir(t)
	if _, err := Listen(filepath.Join(dir, "absent"), http.NewServeMux()); err == nil {
		t.Error("listened in a folder that does not exist")
	}
	if err := os.Mkdir(filepath.Join(dir, pointerName), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(dir, http.NewServeMux()); err == nil {
		t.Error("listened although the pointer cannot be read")
	}
	if err := Dial(dir).Call(t.Context(), "/greet", nil, nil); err == nil ||
		errors.Is(err, ErrNotRunning) {
		t.Errorf("called although the pointer cannot be read: %v", err)
	}
}

func TestCloseWithoutRun(t *testing.T) {
	dir := shortDir(t)
	server, err := Listen(dir, http.NewServeMux())
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

// shortDir is a temporary folder whose path leaves room for the socket's name, whatever the test is
// called.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "c-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
