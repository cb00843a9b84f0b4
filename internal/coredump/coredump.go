// Package coredump keeps a daemon's memory out of core dumps: it holds private keys and content.
//
// It promises nothing against the same user or root: both can read the process and the key files.
// The process stays traceable, so that a debugger still works for them.
package coredump
