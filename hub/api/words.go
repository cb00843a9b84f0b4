package api

import "sealpost/spool"

// Types of package spool that cross the wire. With these names an agent need not import spool.
type (
	Message    = spool.Message
	DeliveryID = spool.DeliveryID
	Token      = spool.Token
	Event      = spool.Event
	Cursor     = spool.Cursor
	Result     = spool.Result
	Held       = spool.Held
	OverQuota  = spool.OverQuota
)

// States of KnownEnvelope, kinds of Event, sizes that both sides must agree on, and the values of
// an OverQuota.
const (
	StateUnknown   = spool.StateUnknown
	StateWaiting   = spool.StateWaiting
	StateFinal     = spool.StateFinal
	StateForgotten = spool.StateForgotten

	EventSettled  = spool.EventSettled
	EventDead     = spool.EventDead
	EventRequeued = spool.EventRequeued
	EventRoute    = spool.EventRoute

	SmallSize   = spool.SmallSize
	PartSize    = spool.PartSize
	MaxMessages = spool.MaxMessages

	ScopeHub   = spool.ScopeHub
	ScopeSite  = spool.ScopeSite
	ScopeQueue = spool.ScopeQueue

	LimitBytes     = spool.LimitBytes
	LimitReserved  = spool.LimitReserved
	LimitUploads   = spool.LimitUploads
	LimitEnvelopes = spool.LimitEnvelopes
	LimitMessages  = spool.LimitMessages
	LimitMetadata  = spool.LimitMetadata
)

// The spool's errors, as the client returns them.
var (
	ErrInvalid   = spool.ErrInvalid
	ErrNotFound  = spool.ErrNotFound
	ErrConflict  = spool.ErrConflict
	ErrForgotten = spool.ErrForgotten
	ErrStale     = spool.ErrStale
	ErrHeld      = spool.ErrHeld
	ErrUnstaged  = spool.ErrUnstaged
	ErrChecksum  = spool.ErrChecksum
	ErrDisplaced = spool.ErrDisplaced
	ErrFull      = spool.ErrFull
	ErrQuota     = spool.ErrQuota
)
