package words

import (
	"fmt"
	"io/fs"
	"strings"

	"sealpost/internal/way"
)

// How a command reaches the daemon, and what keeps the two from believing each other.

// Reasons why the file that names a control socket is not believed.
const (
	PointerNoFile = "it is a link or a folder"
	PointerLinked = "it is a second name of another file"
	PointerLarge  = "it is too large, or changes"
	PointerShape  = "it names no control socket as a daemon makes it"
)

// BelongsTo is the reason that a file has a wrong owner.
func BelongsTo(account string) string { return "it belongs to the account " + account }

// WritableAs is the reason that accounts other than its owner's may write to a file.
func WritableAs(mode fs.FileMode) string {
	return fmt.Sprintf("other accounts may write to it (mode %04o)", mode.Perm())
}

// NotBelieved says that a command does not follow the file that names the control socket.
func NotBelieved(pointer, why string) error {
	return fmt.Errorf("%s is not believed, and nothing was asked: %s. If the daemon runs, start it again: it makes that file anew", pointer, why)
}

// NotRemoved says that a daemon cannot remove a file or folder in the place of its own.
func NotRemoved(path string, why error) error {
	return fmt.Errorf("%s is not what this daemon makes there, and cannot be removed: move it away (%w)", path, why)
}

// SocketNotBelieved says that a command does not connect to a control socket.
func SocketNotBelieved(path, why string) error {
	return fmt.Errorf("the control socket %s is not believed, and nothing was asked: %s. Start the daemon again: it makes its socket anew", path, why)
}

// NoSocket is the reason that something else has the socket's name.
const NoSocket = "it is no socket"

// FalseDaemon says that the process behind a control socket is of a wrong account.
func FalseDaemon(path, account, daemon string) error {
	return fmt.Errorf("a process of the account %s answers at %s, in the place of the daemon of the account %s: nothing was asked; "+
		"find out what it is, and start the daemon again", account, path, daemon)
}

// FalsePipe says that another account has made the pipe under the daemon's name.
func FalsePipe(path, account string) error {
	return fmt.Errorf("the pipe %s belongs to %s, which is neither this account nor the daemon's: nothing was asked; "+
		"find out what it is, and start the daemon again", path, account)
}

// NoRuntimeFolder says that a control socket has no place where other accounts cannot swap it.
func NoRuntimeFolder(folder string, faults []way.Fault) error {
	return fmt.Errorf("no folder for the control socket, as the path of the state folder is too long for it: %w", Replaceable(folder, faults))
}

// Replaceable says that other accounts could put something else in the place of a path, and how to mend it.
func Replaceable(path string, faults []way.Fault) error {
	var says, mend []string
	for _, f := range faults {
		says, mend = append(says, FaultIs(f)), append(mend, FaultEnds(f))
	}
	return fmt.Errorf("another account could put something else in the place of %s: %s. Mend it with: %s",
		path, strings.Join(says, ", and "), strings.Join(mend, "; "))
}

// FaultIs names a fault on the way to a path.
func FaultIs(f way.Fault) string {
	switch f.Flaw {
	case way.Foreign:
		return fmt.Sprintf("%s belongs to the account %s", f.Path, f.Who)
	case way.GroupWrites:
		return fmt.Sprintf("the group %s may write to %s", f.Who, f.Path)
	case way.ListUserWrites:
		return fmt.Sprintf("its access list lets the account %s write to %s", f.Who, f.Path)
	case way.ListGroupWrites:
		return fmt.Sprintf("its access list lets the group %s write to %s", f.Who, f.Path)
	}
	return fmt.Sprintf("every account may write to %s", f.Path)
}

// FaultEnds returns the command that mends a fault.
func FaultEnds(f way.Fault) string {
	path := shellWord(f.Path)
	switch f.Flaw {
	case way.Foreign:
		return "chown -h root " + path
	case way.GroupWrites:
		return "chmod g-w " + path
	case way.ListUserWrites:
		return fmt.Sprintf("setfacl -m u:%s:r-x %s", f.Who, path)
	case way.ListGroupWrites:
		return fmt.Sprintf("setfacl -m g:%s:r-x %s", f.Who, path)
	}
	return "chmod o-w " + path
}

// shellWord quotes a path for a shell, where it needs that.
func shellWord(path string) string {
	if strings.ContainsAny(path, " \t\n\"'\\$`*?[]{}()<>|&;~#!") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
