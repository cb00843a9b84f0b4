package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sealpost/internal/reason"
)

// ProblemType is the media type of a problem.
const ProblemType = "application/problem+json"

// maxProblem bounds the bytes of a problem that the client reads.
const maxProblem = 64 << 10

// Problem is a problem of RFC 9457 with our stable code.
type Problem struct {
	Type    string    `json:"type"`
	Title   string    `json:"title"`
	Status  int       `json:"status"`
	Detail  string    `json:"detail,omitempty"`
	Code    Code      `json:"code"`
	Request string    `json:"request,omitempty"`
	Since   time.Time `json:"since,omitzero"` // of the code removed: when that was
	// of the code quota: the limit that leaves no room
	Quota *OverQuota `json:"quota,omitempty"`
	// of the code refused: why an admin's call was not made
	Reason reason.Reason `json:"reason,omitzero"`
}

// NewProblem returns a problem. The detail is for the user and may be empty.
func NewProblem(code Code, status int, detail, request string) Problem {
	return Problem{
		Type:   "urn:sealpost:problem:" + string(code),
		Title:  http.StatusText(status),
		Status: status, Detail: detail, Code: code, Request: request,
	}
}

// problemOf returns the error of a failed answer. A problem from the hub is an *Error. Any other
// answer comes from a proxy or the like; a retry may succeed.
func problemOf(resp *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil {
		return fmt.Errorf("read the hub's problem (status %d): %w", resp.StatusCode, err)
	}
	var p Problem
	if resp.Header.Get("Content-Type") != ProblemType || json.Unmarshal(data, &p) != nil ||
		p.Code == "" {
		return fmt.Errorf("%w: status %d, %s", ErrAnswer, resp.StatusCode,
			resp.Header.Get("Content-Type"))
	}
	return &Error{Code: p.Code, Detail: p.Detail, Since: p.Since, Quota: p.Quota, Reason: p.Reason,
		After: retryAfter(resp.Header), Request: p.Request}
}

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, time.Hour)
}

// unwrapURL removes the method and address from errors of net/http, since callers add their own.
func unwrapURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
