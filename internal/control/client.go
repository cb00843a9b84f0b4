package control

import (
	"bytes"
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
		return fmt.Errorf("the daemon's answer to %s: %w", path, err)
	}
	return nil
}

// Stream sends in as JSON and returns the answer as a stream. The caller closes it.
func (c *Client) Stream(ctx context.Context, path string, in any) (io.ReadCloser, error) {
	request, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://daemon"+path,
		bytes.NewReader(request))
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
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

// mayNotAsk is the error for a caller of another account, from the system or from the daemon.
const mayNotAsk = "you may not ask this daemon; run the command as " + whoMayAsk

// errAsk means that a daemon was called and its answer did not arrive.
var errAsk = errors.New("ask the daemon")

// IsAway reports whether the daemon does not run, ends, or cannot work now. A retry may succeed
// once it is back.
func IsAway(err error) bool {
	return errors.Is(err, ErrNotRunning) || errors.Is(err, ErrHindered) || errors.Is(err, errAsk) ||
		errors.Is(err, io.ErrUnexpectedEOF)
}

// ErrHindered means that the daemon lives but cannot work now. The error's text is the daemon's
// reason.
var ErrHindered = errors.New("the daemon can do nothing for now")

type hindered struct{ says string }

func (h *hindered) Error() string { return h.says }

func (h *hindered) Is(target error) bool { return target == ErrHindered }

// Hindered answers every request with the reason for which a daemon can do nothing for now.
func Hindered(why error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, why.Error(), http.StatusServiceUnavailable)
	})
}

func explain(err error) error {
	if isAbsent(err) {
		return ErrNotRunning
	}
	if asked, ok := errors.AsType[*url.Error](err); ok {
		err = asked.Err // method and address mean nothing to the user
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s: %w", mayNotAsk, err)
	}
	return fmt.Errorf("%w: %w", errAsk, err)
}

// refusal returns the daemon's own error from a failed answer.
func refusal(path string, answer *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxRequest))
	if err != nil {
		return fmt.Errorf("the daemon's answer to %s: %w", path, err)
	}
	if answer.StatusCode == http.StatusNotFound ||
		answer.StatusCode == http.StatusMethodNotAllowed {
		return fmt.Errorf("the daemon does not know %s; is it of another version?", path)
	}
	says := strings.TrimSpace(string(text))
	if answer.StatusCode == http.StatusServiceUnavailable {
		return &hindered{says}
	}
	return errors.New(says)
}
