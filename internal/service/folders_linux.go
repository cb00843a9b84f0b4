package service

import (
	"slices"
	"strings"
)

// command is a program with its arguments, as it can be run or shown to a person.
type command []string

// String spells the command for a shell.
func (c command) String() string {
	var words []string
	for _, word := range c {
		if word == "" || strings.ContainsAny(word, " \t\"'\\$`*?[]{}()<>|&;~#!") {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// folderSteps lists what makes the folders of an installation fit for a service that runs under an account of its own, while
// people drop files and take them. Everything new in a shared folder belongs to the group (setgid), which may write
// whatever the umask of its maker says (default access list): a folder that somebody drops can then be moved by the
// service, and what the service places can be moved by people. Each step can be repeated, and none goes down into what
// people have put there.
func folderSteps(i Installation) []command {
	owner := i.User + ":" + i.Group
	steps := []command{
		{"chown", "-h", owner, i.Dir},
		{"chmod", "u+rwx,g+rx", i.Dir},
		{"chown", "-hR", owner, i.State},
	}
	for _, folder := range i.Shared {
		steps = append(steps,
			command{"chown", "-h", owner, folder},
			command{"chmod", "u+rwx,g+rwxs,o-rwx", folder},
			command{"setfacl", "-m", "g:" + i.Group + ":rwx,d:u::rwx,d:u:" + i.User + ":rwx,d:g::rwx,d:g:" + i.Group + ":rwx,d:m::rwx,d:o::-", folder})
	}
	return steps
}

// carryOut runs the steps and returns those that failed, for a person to repeat.
func carryOut(steps []command, run func(command) error) []string {
	var left []string
	for _, step := range steps {
		if err := run(step); err != nil && !slices.Contains(left, step.String()) {
			left = append(left, step.String()+"   # "+oneLine(err))
		}
	}
	return left
}
