package service

import (
	"fmt"
	"slices"

	"sealpost/internal/reason"
)

// The commands for an admin on Windows, as texts that can be tested anywhere.

// letAccountIn returns the commands that admit an account to the folders of the service, and make
// it the service's.
func letAccountIn(i Installation) (commands []reason.Reason) {
	for _, folder := range slices.Concat([]string{i.Dir}, i.Writable, i.Shared) {
		grant := run(`icacls "%s" /grant "%s:(OI)(CI)M"`, folder, i.User)
		if !slices.Contains(commands, grant) {
			commands = append(commands, grant)
		}
	}
	return append(commands, run(`icacls "%s" /grant "%s:(OI)(CI)F" /T`, i.State, i.User),
		reason.New("set-password", "command", fmt.Sprintf(
			`sc.exe config "%s" obj= "%s" password= *`, i.Service(), i.User)))
}

// users is the group of all users of this machine, by a name that is the same in every language.
const users = "*S-1-5-32-545"

// letGroupIn returns the commands that let users drop and take files. Inherited rights mostly let
// them drop and read, but not remove.
func letGroupIn(i Installation) (commands []reason.Reason) {
	group := i.Group
	if group == "" || group == i.User {
		group = users
	}
	for _, folder := range i.Shared {
		commands = append(commands, run(`icacls "%s" /grant "%s:(OI)(CI)M"`, folder, group))
	}
	return commands
}

// startAgain returns the command that makes recovery treat an end with an error code as a failure,
// like a crash.
func startAgain(n Instance) reason.Reason {
	return run(`sc.exe failureflag "%s" 1`, n.Service())
}

// run returns a command for an admin.
func run(format string, args ...any) reason.Reason {
	return reason.New("run", "command", fmt.Sprintf(format, args...))
}
