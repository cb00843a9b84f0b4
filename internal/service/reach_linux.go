package service

import (
	"errors"
	"os/exec"
	"path/filepath"
	"syscall"

	"sealpost/internal/reason"
)

// reachSteps returns the steps that let the service and the group of users reach their folders. A
// closed folder above stops them, even if the folder itself is open. Folders in a home are bound
// into the view of the service, and the rest of a home is its owner's affair.
func reachSteps(i Installation, a account) (steps []step) {
	service := credential{theAccount(a.user), &syscall.Credential{Uid: a.uid, Gid: a.gid,
		Groups: a.also}}
	group := credential{theGroup(a.group), &syscall.Credential{Uid: overflowUser, Gid: a.gid}}
	ask := func(who credential, right string, paths ...string) {
		for _, path := range paths {
			if !isHiddenHome(path) {
				steps = append(steps, who.missing(right, path)...)
			}
		}
	}
	ask(service, "-x", i.Program)
	ask(service, "-w", append([]string{i.Dir, i.State}, i.Shared...)...)
	ask(group, "-w", i.Shared...)
	return steps
}

// programSteps returns the steps that keep other accounts from replacing the service's program.
func programSteps(i Installation, w walker) []step {
	return []step{{command{"ls", "-l", i.Program}, func() error {
		return w.atFile(i.Program, w.keepers.judgeFile)
	}}}
}

// overflowUser is a user without rights of its own.
const overflowUser = 65534

// credential is an account or group whose rights are tried.
type credential struct {
	name reason.Reason
	as   *syscall.Credential
}

// can reports whether the system grants a right to that credential. Without the program test it
// returns true.
func (p credential) can(right, path string) bool {
	cmd := exec.Command("test", right, path)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	var refused *exec.ExitError
	return !errors.As(cmd.Run(), &refused)
}

// missing returns the steps that open the folders above a path, or the program itself, to that
// credential.
func (p credential) missing(right, path string) (steps []step) {
	if p.can(right, path) {
		return nil
	}
	for _, above := range ancestors(path) {
		if !p.can("-x", above) {
			why := reason.New("closed-to", "who", p.name, "path", path)
			return []step{{command{"chmod", "o+x", above}, why.AsError}}
		}
	}
	if right == "-x" {
		why := reason.New("may-not-run", "who", p.name)
		return []step{{command{"chmod", "a+rx", path}, why.AsError}}
	}
	return nil // the failed step has reported it
}

// ancestors returns the folders above a path, the outermost first.
func ancestors(path string) (list []string) {
	for above := filepath.Dir(path); above != "/" && above != "."; above = filepath.Dir(above) {
		list = append([]string{above}, list...)
	}
	return list
}
