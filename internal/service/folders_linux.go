package service

import (
	"fmt"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
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

// step is one thing to do to a folder: as a person would type it, and how it is done here.
type step struct {
	command
	here func() error // nil: by the command itself
}

func (s step) do() error {
	if s.here != nil {
		return s.here()
	}
	return execute(s.command)
}

// account is whom a service runs as, beside whom people use its folders.
type account struct {
	user, group string
	uid, gid    uint32
	also        []uint32 // the groups to which the account belongs besides
}

// accountOf finds the account of an installation, or says how to make it.
func accountOf(i Installation) (account, error) {
	a := account{user: i.User, group: i.Group}
	u, err := user.Lookup(i.User)
	if err != nil {
		return a, fmt.Errorf("there is no account %q for the service to run under; make one with: useradd --system --user-group --home-dir %s --shell /usr/sbin/nologin %s", i.User, stateRoot, i.User)
	}
	g, err := user.LookupGroup(i.Group)
	if err != nil {
		return a, fmt.Errorf("there is no group %q of the people who drop and take files; make one with: groupadd --system %s", i.Group, i.Group)
	}
	if a.uid, err = number(u.Uid); err != nil {
		return a, err
	}
	if a.gid, err = number(g.Gid); err != nil {
		return a, err
	}
	also, err := u.GroupIds()
	if err != nil {
		return a, fmt.Errorf("groups of the account %q: %w", i.User, err)
	}
	for _, id := range also {
		gid, err := number(id)
		if err != nil {
			return a, err
		}
		a.also = append(a.also, gid)
	}
	return a, nil
}

func number(id string) (uint32, error) {
	n, err := strconv.ParseUint(id, 10, 32)
	return uint32(n), err
}

// folderSteps lists what makes the folders of an installation fit for a service that runs under an account of its own, while
// people drop files and take them. Everything new in a shared folder belongs to the group (setgid), which may write
// whatever the umask of its maker says (default access list): a folder that somebody drops can then be moved by the
// service, and what the service places can be moved by people. A folder elsewhere that holds shared ones stays its owner's:
// the service may write there, people may look. Each step can be repeated, and none goes down into what people have put there.
func folderSteps(i Installation, a account) []step {
	owner := a.user + ":" + a.group
	steps := []step{
		{command: command{"chown", "-h", owner, i.Dir}},
		{command: command{"chmod", "u+rwx,g+rx", i.Dir}},
		{command: command{"chown", "-hR", owner, i.State}},
	}
	for _, folder := range i.elsewhere() {
		steps = append(steps, making(folder), step{
			command{"setfacl", "-m", "u:" + a.user + ":rwx,g:" + a.group + ":rx", folder},
			func() error { return admit(folder, aclEntry{aclUser, rwx, a.uid}, aclEntry{aclGroup, r_x, a.gid}) },
		})
	}
	for _, folder := range i.Shared {
		steps = append(steps, making(folder),
			step{command: command{"chown", "-h", owner, folder}},
			step{command: command{"chmod", "u+rwx,g+rwxs,o-rwx", folder}},
			step{
				command{"setfacl", "-m", "g:" + a.group + ":rwx,d:u::rwx,d:u:" + a.user + ":rwx,d:g::rwx,d:g:" + a.group + ":rwx,d:m::rwx,d:o::-", folder},
				func() error { return shareFolder(folder, a.uid, a.gid) },
			})
	}
	return steps
}

// making makes a folder that is missing. A unit whose folder is missing does not start.
func making(folder string) step { return step{command: command{"mkdir", "-p", folder}} }

// elsewhere lists the folders that hold shared ones and lie outside of the daemon's own.
func (i Installation) elsewhere() (folders []string) {
	for _, folder := range i.Writable {
		rel, err := filepath.Rel(i.Dir, folder)
		if (err != nil || !filepath.IsLocal(rel)) && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	return folders
}

// carryOut carries out the steps and returns those that failed, for a person to repeat, each once with its first reason.
func carryOut(steps []step, do func(step) error) []string {
	var left, commands []string
	for _, s := range steps {
		if err := do(s); err != nil && !slices.Contains(commands, s.String()) {
			commands = append(commands, s.String())
			left = append(left, s.String()+"   # "+oneLine(err))
		}
	}
	return left
}
