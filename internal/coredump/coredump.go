// Package coredump keeps a daemon's memory, which holds private keys and content, out of files that a crash leaves behind.
//
// It promises nothing against somebody who may read the process itself (the same user, or root): such a one can read the
// key files as well. It leaves the process traceable, so that a debugger still works for them.
package coredump
