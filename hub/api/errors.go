package api

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"sealpost/internal/reason"
	"sealpost/spool"
)

// Code is a problem's stable name. The set is closed.
type Code string

// The codes. Each has a sentinel, an HTTP status, and an answer to "does a retry help".
const (
	CodeInvalid     Code = "invalid" // the request is malformed; never retry
	CodeNoCert      Code = "no-certificate"
	CodeExpired     Code = "certificate-expired"
	CodeNotAdmitted Code = "not-admitted"  // the hub does not know this site (yet)
	CodeRemoved     Code = "removed"       // the hub's admin has removed this site
	CodeOtherKey    Code = "other-key"     // the hub knows this site by another identity key
	CodeDistrusted  Code = "distrusted"    // the root's roster distrusts the site's identity key
	CodeNotAllowed  Code = "not-allowed"   // the site's role or patterns do not cover this
	CodeNotFound    Code = "not-found"     // or not yours
	CodeConflict    Code = "conflict"      // the same id names something else
	CodeForgotten   Code = "forgotten"     // the envelope was final, and its records are deleted
	CodeRoute       Code = "route-changed" // resolve the address and seal again
	CodeUnroutable  Code = "unroutable"    // the address has no recipient
	CodeStale       Code = "stale"
	CodeHeld        Code = "held" // a newer session took the queue
	CodeIncomplete  Code = "incomplete"
	CodeUnstaged    Code = "unstaged"
	CodeChecksum    Code = "checksum"
	CodeDisplaced   Code = "displaced"
	CodeTooLarge    Code = "too-large"
	CodeBusy        Code = "busy"       // too many requests: wait for Retry-After
	CodeFull        Code = "full"       // the hub's disk is full: wait for Retry-After
	CodeQuota       Code = "quota"      // a quota leaves no room: wait for Retry-After
	CodeOnHold      Code = "on-hold"    // the hub's admin holds the site: wait for Retry-After
	CodeUncertain   Code = "uncertain"  // ask again: the same request gives the same answer
	CodeInvitation  Code = "invitation" // wrong, used with another key, expired
	CodeRefused     Code = "refused"    // of an admin's call; the reason has the cause
	CodeInternal    Code = "internal"
)

// Error is a problem as the client returns it. errors.Is matches the sentinels of this package and
// of package spool.
type Error struct {
	Code    Code
	Detail  string        // for the user
	After   time.Duration // from Retry-After; 0: none
	Since   time.Time     // of CodeRemoved: when the site was removed
	Quota   *OverQuota    // of CodeQuota: which limit, and of whom
	Reason  reason.Reason // of CodeRefused
	Request string        // the request's id, to find it in the hub's log
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("hub: %s", e.Code)
	}
	return fmt.Sprintf("hub: %s (%s)", e.Detail, e.Code)
}

// Is makes errors.Is work across the wire.
func (e *Error) Is(target error) bool {
	for _, row := range codes {
		if row.code == e.Code {
			return row.sentinel == target
		}
	}
	return false
}

// Sentinels beside those of package spool.
var (
	ErrNoCert      = errors.New("no client certificate")
	ErrExpired     = errors.New("the client certificate has expired")
	ErrNotAdmitted = errors.New("the hub has not admitted this site yet")
	ErrRemoved     = errors.New("the hub has removed this site")
	ErrOtherKey    = errors.New("the hub knows this site by another key")
	ErrDistrusted  = errors.New("the roster distrusts this site's key")
	ErrNotAllowed  = errors.New("not allowed for this site")
	ErrRoute       = errors.New("the route has changed")
	ErrUnroutable  = errors.New("the address has no recipients")
	ErrTooLarge    = errors.New("too large")
	ErrBusy        = errors.New("the hub is busy")
	ErrOnHold      = errors.New("the hub's admin holds this site")
	ErrInvitation  = errors.New("the invitation is not valid")
	ErrRefused     = errors.New("the hub refuses the call")
	ErrInternal    = errors.New("the hub failed")
)

var codes = []struct {
	code     Code
	sentinel error
	status   int
	retry    bool
}{
	{CodeInvalid, spool.ErrInvalid, http.StatusBadRequest, false},
	{CodeNoCert, ErrNoCert, http.StatusUnauthorized, false},
	{CodeExpired, ErrExpired, http.StatusUnauthorized, false},
	{CodeNotAdmitted, ErrNotAdmitted, http.StatusForbidden, true},
	{CodeRemoved, ErrRemoved, http.StatusForbidden, true},
	{CodeOtherKey, ErrOtherKey, http.StatusForbidden, true},
	{CodeDistrusted, ErrDistrusted, http.StatusForbidden, true},
	{CodeNotAllowed, ErrNotAllowed, http.StatusForbidden, false},
	{CodeNotFound, spool.ErrNotFound, http.StatusNotFound, false},
	{CodeConflict, spool.ErrConflict, http.StatusConflict, false},
	{CodeForgotten, spool.ErrForgotten, http.StatusGone, false},
	{CodeRoute, ErrRoute, http.StatusConflict, false},
	{CodeUnroutable, ErrUnroutable, http.StatusUnprocessableEntity, false},
	{CodeStale, spool.ErrStale, http.StatusConflict, false},
	{CodeHeld, spool.ErrHeld, http.StatusConflict, false},
	{CodeIncomplete, spool.ErrIncomplete, http.StatusUnprocessableEntity, false},
	{CodeUnstaged, spool.ErrUnstaged, http.StatusConflict, false},
	{CodeChecksum, spool.ErrChecksum, http.StatusUnprocessableEntity, true},
	{CodeDisplaced, spool.ErrDisplaced, http.StatusConflict, false},
	{CodeTooLarge, ErrTooLarge, http.StatusRequestEntityTooLarge, false},
	{CodeBusy, ErrBusy, http.StatusServiceUnavailable, true},
	{CodeFull, spool.ErrFull, http.StatusInsufficientStorage, true},
	{CodeQuota, spool.ErrQuota, http.StatusInsufficientStorage, true},
	{CodeOnHold, ErrOnHold, http.StatusServiceUnavailable, true},
	{CodeUncertain, spool.ErrUncertain, http.StatusServiceUnavailable, true},
	{CodeInvitation, ErrInvitation, http.StatusForbidden, false},
	{CodeRefused, ErrRefused, http.StatusUnprocessableEntity, false},
	{CodeInternal, ErrInternal, http.StatusInternalServerError, true},
}

// CodeOf returns the code and HTTP status of an error. An error outside the table is internal.
func CodeOf(err error) (Code, int) {
	var e *Error
	if errors.As(err, &e) {
		for _, row := range codes {
			if row.code == e.Code {
				return row.code, row.status
			}
		}
	}
	for _, row := range codes {
		if errors.Is(err, row.sentinel) {
			return row.code, row.status
		}
	}
	return CodeInternal, http.StatusInternalServerError
}

// IsOfSite reports whether the hub refuses the calling site itself, whatever it asks for.
func IsOfSite(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case CodeNoCert, CodeExpired, CodeNotAdmitted, CodeRemoved, CodeOtherKey,
		CodeDistrusted:
		return true
	}
	return false
}

// Retry reports whether a retry of the same request can succeed. It can after every error of the
// line: a broken or closed connection, a timeout.
func Retry(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return err != nil
	}
	for _, row := range codes {
		if row.code == e.Code {
			return row.retry
		}
	}
	return true
}

// RetryAfter returns the pause that the hub asked for, or 0.
func RetryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.After
	}
	return 0
}
