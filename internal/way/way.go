// Package way checks the folders that lead to a path for other accounts that could replace its
// target.
//
// A path without faults means the same object until root or a trusted account changes it, so that a
// program may open it by its name. The package follows links as the system does, and checks the
// folders of the links too. It reads modes and the POSIX access lists of Linux, but not access
// lists of NFSv4 and macOS, and nothing on Windows. It changes nothing.
package way

// Fault is a place on the way at which an untrusted account can replace the rest.
type Fault struct {
	Path string // the folder; with Foreign also a link or the last element, in a sticky folder
	Flaw Flaw
	Who  string // the account or group, by its name if it has one; empty for AnyoneWrites
}

// Flaw is the kind of a fault.
type Flaw int

// The flaws.
const (
	Foreign         Flaw = iota + 1 // that account owns it, and may change its mode
	GroupWrites                     // its own group may write to it
	ListUserWrites                  // its access list lets that account write to it
	ListGroupWrites                 // its access list lets that group write to it
	AnyoneWrites                    // every account may write to it
)
