// Package oddfs is a file system for tests that has the habits of odd disks and of shares. It shows
// a folder under a mount point, by FUSE.
//
// Mount starts it in a process of its own, so that a test never waits for itself. The file system
// ends with its test, even if calls hang in it or the test crashes. Its habits can be changed while
// it is mounted. A change made in Disk.Back is that of another machine: the mount point shows it,
// and no notification tells of it. The files have no extended attributes and no access lists.
//
// No product code may import it: internal/arch holds that.
package oddfs

import (
	"syscall"
	"time"
)

// Op is a file operation, named by its request of the FUSE protocol.
type Op string

// The operations in which a Fault can happen.
const (
	Any      Op = "any"
	Lookup   Op = "lookup"  // finds a name, before most other operations
	Getattr  Op = "getattr" // describes a file: stat
	Chmod    Op = "chmod"
	Chown    Op = "chown"
	Truncate Op = "truncate"
	Utimes   Op = "utimes"
	Open     Op = "open"
	Create   Op = "create"
	Read     Op = "read"
	Write    Op = "write"
	Fsync    Op = "fsync" // of a file or a folder
	Readdir  Op = "readdir"
	Readlink Op = "readlink"
	Mkdir    Op = "mkdir"
	Mknod    Op = "mknod"
	Symlink  Op = "symlink"
	Link     Op = "link"
	Rename   Op = "rename"
	Unlink   Op = "unlink"
	Rmdir    Op = "rmdir"
	Statfs   Op = "statfs"
)

// A Fault is an operation that fails.
type Fault struct {
	On    Op
	Name  string        // the last part of the entry's name; "": every entry
	Errno syscall.Errno // 0: the operation hangs until the fault is lifted or its process is killed
}

// Habits is how a disk differs from one that just works.
type Habits struct {
	NameMax int  // longest name in bytes, longer ones are ENAMETOOLONG; 0: the folder's own limit
	ASCII   bool // other names are EINVAL

	FoldCase bool // names that differ in case are one
	NFD      bool // names are decomposed: é becomes e and an accent

	NoTimes  bool // setting times is EPERM
	NoModes  bool // setting rights is EPERM
	NoLinks  bool // a hard link is EPERM
	NoFlags  bool // a rename that must not replace, or that exchanges, is EINVAL
	NoLeases bool // a lease is EAGAIN, as if a program had the file open for writing

	MaxFile int64 // longest file in bytes, more is EFBIG; 0: any length

	Skew        time.Duration // how far the server's clock is ahead
	Granularity time.Duration // times are cut to multiples of it; 0: nanoseconds

	Faults []Fault
}
