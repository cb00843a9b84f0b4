package service

import (
	"fmt"
	"slices"
)

// What a person has to type on Windows, in texts that can be tested anywhere.

// letAccountIn lets an account of its own into the folders of the service, and makes it the service's.
func letAccountIn(i Installation) (commands []string) {
	for _, folder := range slices.Concat([]string{i.Dir}, i.Writable, i.Shared) {
		grant := fmt.Sprintf(`icacls "%s" /grant "%s:(OI)(CI)M"`, folder, i.User)
		if !slices.Contains(commands, grant) {
			commands = append(commands, grant)
		}
	}
	return append(commands, fmt.Sprintf(`icacls "%s" /grant "%s:(OI)(CI)F" /T`, i.State, i.User),
		fmt.Sprintf(`sc.exe config "%s" obj= "%s" password= *   (or set the password in services.msc)`, i.Service(), i.User))
}

// users is the group of all who may use this machine, by a name that is the same in every language.
const users = "*S-1-5-32-545"

// letGroupIn lets people drop and take files. What the folders inherit mostly lets them drop and read, but not take away.
func letGroupIn(i Installation) (commands []string) {
	group := i.Group
	if group == "" || group == i.User {
		group = users
	}
	for _, folder := range i.Shared {
		commands = append(commands, fmt.Sprintf(`icacls "%s" /grant "%s:(OI)(CI)M"`, folder, group))
	}
	return commands
}

// startAgain makes recovery count an end with an error code as a failure, not only a crash.
func startAgain(n Instance) string { return fmt.Sprintf(`sc.exe failureflag "%s" 1`, n.Service()) }
