// Package way judges the folders that lead to a path: which other accounts could put something else in its place.
//
// It promises that a path without faults means the same object until root or a trusted account changes it, so that a program
// may open it by its name. It follows links as the system does, and judges the folders that hold them too. Modes and the
// POSIX access lists of Linux are read; access lists of NFSv4 and macOS are not, and Windows is not judged at all. It changes
// nothing, and speaks in codes: internal/words has the sentences.
package way

// Fault is a place on the way at which an account that is not trusted can replace what follows.
type Fault struct {
	Path string // the folder; with Foreign also a link or the last element, in a sticky folder
	Flaw Flaw
	Who  string // the account or group, by its name if it has one; empty for AnyoneWrites
}

// Flaw is the reason of a fault.
type Flaw int

// The flaws.
const (
	Foreign         Flaw = iota + 1 // the account Who owns it, and may change its mode
	GroupWrites                     // its own group Who may write to it
	ListUserWrites                  // its access list lets the account Who write to it
	ListGroupWrites                 // its access list lets the group Who write to it
	AnyoneWrites                    // every account may write to it
)
