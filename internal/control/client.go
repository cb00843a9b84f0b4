package control

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"

	"sealpost/internal/reason"
)

// Client calls the daemon of one state folder. It holds no connection between calls.
type Client struct {
	http *http.Client
}

// Dial returns a client for the daemon of stateDir. The first call fails if none runs, or one of an
// untrusted account.
func Dial(stateDir string) *Client {
	toDaemon := func(ctx context.Context, _, _ string) (net.Conn, error) {
		stateDir, err := filepath.Abs(stateDir)
		if err != nil {
			return nil, err
		}
		return connect(ctx, stateDir)
	}
	return &Client{http: &http.Client{Transport: &http.Transport{DialContext: toDaemon,
		DisableKeepAlives: true}}}
}

// Call sends in as JSON and decodes the answer into out, unless out is nil. It returns the daemon's
// own error, or ErrNotRunning.
func (c *Client) Call(ctx context.Context, path string, in, out any) error {
	body, err := c.Stream(ctx, path, in)
	if err != nil {
		return err
	}
	defer body.Close()
	if out == nil {
		_, err := io.Copy(io.Discard, body)
		return err
	}
	if err := json.NewDecoder(body).Decode(out); err != nil {
		return badAnswer(path, err)
	}
	return nil
}

func badAnswer(path string, err error) error {
	if isCut(err) {
		return errStopped
	}
	return reason.Err("daemon-answer", "path", path, "why", err)
}

// Stream sends in as JSON and returns the answer as a stream. The caller closes it.
func (c *Client) Stream(ctx context.Context, path string, in any) (io.ReadCloser, error) {
	request, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAsk, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://daemon"+path,
		bytes.NewReader(request))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAsk, err)
	}
	r.Header.Set("Accept", reasonType)
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, explain(err)
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		return nil, refusal(path, answer)
	}
	return answer.Body, nil
}

var (
	// errAsk means that a daemon was called and its answer did not arrive.
	errAsk = reason.Err("ask-daemon")
	// errStopped means that a daemon has stopped before its answer was complete.
	errStopped = reason.Err("daemon-stopped")
)

// isCut reports whether the other end of a connection is gone.
func isCut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// IsAway reports whether the daemon does not run, ends, or cannot work now. A retry may succeed
// once it is back.
func IsAway(err error) bool {
	return errors.Is(err, ErrNotRunning) || errors.Is(err, ErrHindered) || errors.Is(err, errAsk) ||
		errors.Is(err, errStopped) || errors.Is(err, io.ErrUnexpectedEOF)
}

// ErrHindered means that the daemon lives but cannot work now. The error holds the daemon's reason.
var ErrHindered = errors.New("the daemon can do nothing for now")

type hindered struct{ error }

func (h *hindered) Unwrap() error { return h.error }

func (h *hindered) Is(target error) bool { return target == ErrHindered }

// Hindered answers every request with the reason for which a daemon can do nothing for now.
func Hindered(why error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fail(w, r, why, http.StatusServiceUnavailable)
	})
}

func explain(err error) error {
	if isAbsent(err) {
		return ErrNotRunning
	}
	if asked, ok := errors.AsType[*url.Error](err); ok {
		err = asked.Err // method and address mean nothing to the user
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", mayNotAsk, err)
	case isCut(err):
		return errStopped
	}
	return fmt.Errorf("%w: %w", errAsk, err)
}

// refusal returns the daemon's own error from a failed answer.
func refusal(path string, answer *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxRequest))
	if err != nil {
		return badAnswer(path, err)
	}
	switch why := reasonIn(answer, text).AsError(); answer.StatusCode {
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return reason.Err("daemon-older", "path", path)
	case http.StatusServiceUnavailable:
		return &hindered{why}
	default:
		return why
	}
}

// reasonIn returns the reason in the body of a failed answer. A text without a code, such as one of
// an older daemon, is a reason too.
func reasonIn(answer *http.Response, body []byte) (r reason.Reason) {
	if answer.Header.Get("Content-Type") == reasonType && json.Unmarshal(body, &r) == nil &&
		!r.IsZero() {
		return r
	}
	text := strings.TrimSpace(string(body))
	return reason.Text(cmp.Or(text, answer.Status))
}
