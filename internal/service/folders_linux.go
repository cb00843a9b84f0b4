package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"

	"sealpost/internal/reason"
	"sealpost/internal/shell"
)

// command is a program with its arguments, to run or to show to an admin.
type command []string

// String returns the command for a shell.
func (c command) String() string { return shell.Join(c...) }

func (c command) reason() reason.Reason { return run("%s", c) }

// step is one change of a folder: the command for an admin, and the function that does the same.
type step struct {
	command
	work func() error
}

func (s step) do() error { return s.work() }

// account is the account of a service, and the group that also uses its folders.
type account struct {
	user, group string
	uid, gid    uint32
	also        []uint32 // the groups to which the account belongs besides
}

// accountOf returns the account of an installation, or an error with the command that makes it.
func accountOf(i Installation) (account, error) {
	a := account{user: i.User, group: i.Group}
	u, err := user.Lookup(i.User)
	if err != nil {
		return a, reason.Err("no-account", "account", i.User, "command",
			command{"useradd", "--system", "--user-group", "--home-dir", stateRoot, "--shell",
				"/usr/sbin/nologin", i.User}.String())
	}
	g, err := user.LookupGroup(i.Group)
	if err != nil {
		return a, reason.Err("no-group", "group", i.Group, "command",
			command{"groupadd", "--system", i.Group}.String())
	}
	if a.uid, err = parseID(u.Uid); err != nil {
		return a, err
	}
	if a.gid, err = parseID(g.Gid); err != nil {
		return a, err
	}
	also, err := u.GroupIds()
	if err != nil {
		return a, fmt.Errorf("groups of the account %q: %w", i.User, err)
	}
	for _, id := range also {
		gid, err := parseID(id)
		if err != nil {
			return a, err
		}
		a.also = append(a.also, gid)
	}
	return a, nil
}

func parseID(id string) (uint32, error) {
	n, err := strconv.ParseUint(id, 10, 32)
	return uint32(n), err
}

// folderSteps returns the steps that prepare an installation's folders for a service with its own
// account. New files in a shared folder belong to the group (setgid), which may write with any
// umask (default access list): the service can then move the folders of users, and users can move
// files of the service. An outside folder that holds shared ones stays its owner's: the service may
// write there, and the group may read. Each step can be repeated, and none changes the files of
// users. Each opens its folder again and works through a handle, so that it never changes another
// one.
func folderSteps(i Installation, a account, w walker) []step {
	owner := a.user + ":" + a.group
	on := func(folder string, do func(*handle) error, words ...string) step {
		return step{append(words, folder), func() error { return w.at(folder, do) }}
	}
	give := func(h *handle) error { return h.own(a.uid, a.gid) }
	steps := []step{
		on(i.Dir, give, "chown", "-h", owner),
		on(i.Dir, func(h *handle) error { return h.permit(0o750, 0) }, "chmod", "u+rwx,g+rx"),
		on(i.State, func(h *handle) error { return giveTree(h, a) }, "chown", "-hR", owner),
	}
	for _, folder := range i.outsideFolders() {
		steps = append(steps, w.making(folder), on(folder, func(h *handle) error {
			return h.admit(aclEntry{aclUser, rwx, a.uid}, aclEntry{aclGroup, r_x, a.gid})
		}, "setfacl", "-m", "u:"+a.user+":rwx,g:"+a.group+":rx"))
	}
	for _, folder := range i.Shared {
		steps = append(steps, w.making(folder), on(folder, give, "chown", "-h", owner),
			on(folder, func(h *handle) error {
				return h.permit(0o2770, 0o007)
			}, "chmod", "u+rwx,g+rwxs,o-rwx"),
			on(folder, func(h *handle) error { return h.share(a.uid, a.gid) },
				"setfacl", "-m", "g:"+a.group+":rwx,d:u::rwx,d:u:"+a.user+":rwx,d:g::rwx,d:g:"+
					a.group+":rwx,d:m::rwx,d:o::-"))
	}
	return steps
}

// making makes a folder that is missing. A unit whose folder is missing does not start.
func (w walker) making(folder string) step {
	return step{command{"mkdir", "-p", folder}, func() error { return w.make(folder) }}
}

// refused returns an error if other accounts could replace the folders of an installation.
func refused(i Installation, a account) error {
	w := walkerOf(i, a)
	var refusals []reason.Reason
	said := map[reason.Verdict]bool{}
	for _, path := range slices.Concat([]string{i.Dir, i.State}, i.Shared, i.outsideFolders()) {
		err := w.at(path, func(h *handle) error { return i.authorize(path, h.stat.Uid == a.uid) })
		if errors.Is(err, fs.ErrNotExist) {
			err = i.authorize(path, false)
		}
		var f *flaw
		if err != nil && !errors.As(err, &f) {
			return err
		}
		if f != nil && !said[f.Verdict] {
			said[f.Verdict] = true
			refusals = append(refusals, f.refusal(path))
		}
	}
	if len(refusals) > 0 {
		return refuse(refusals...)
	}
	return nil
}

// outsideFolders returns the folders that hold shared ones and lie outside of the daemon's own.
func (i Installation) outsideFolders() (folders []string) {
	for _, folder := range i.Writable {
		if !i.hasPath(folder) && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	return folders
}

// hasPath reports whether a path lies in the daemon's own folder.
func (i Installation) hasPath(path string) bool {
	rel, err := filepath.Rel(i.Dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// carryOut does the steps and returns the failed ones for an admin, each once with its first
// reason.
func carryOut(steps []step, do func(step) error) (left []reason.Reason) {
	var commands []string
	for _, s := range steps {
		err := do(s)
		var own interface{ lines() []reason.Reason }
		switch {
		case err == nil || slices.Contains(commands, s.String()):
		case errors.As(err, &own): // other commands than that of the step
			for _, line := range own.lines() {
				if !slices.Contains(left, line) {
					left = append(left, line)
				}
			}
		default:
			commands = append(commands, s.String())
			left = append(left, leftToDo(s.command.reason(), oneLine(err)))
		}
	}
	return left
}

// leftToDo returns a line of an admin's list: a command, and the reason for it.
func leftToDo(do, why reason.Reason) reason.Reason {
	return reason.New("left-to-do", "command", do, "why", why)
}
