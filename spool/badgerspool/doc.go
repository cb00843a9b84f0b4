// Package badgerspool is the embedded engine behind the spool's contract: Badger for queues and metadata, append-only packs
// for small ciphertext, a plain file each for large.
//
// It promises what package spool says, on one disk of one process: a success is on disk, data and directory entry, before
// it is said. All changes go through one writer that gathers what waits into one commit (writer.go); everything that a
// call reads is a snapshot. After a commit whose outcome nobody knows the store is poisoned and answers only
// spool.ErrUncertain: the process exits and opens it again. Leases and sessions live in memory (package queue).
//
// The package must not know of HTTP, certificates or the envelope's format. docs/spool.md tells the layout of the keys,
// the way of a commit and what each crash leaves.
package badgerspool
