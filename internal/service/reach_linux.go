package service

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
)

// reachSteps asks as the service and as one of the people whether they get to where they have to, and lists what opens the
// way: a folder above that is closed to them stops them, whatever the folder itself allows. What lies in a home is bound
// into the view of the service, and the rest of a home is its owner's affair.
func reachSteps(i Installation, a account) (steps []step) {
	service := person{"the account " + a.user, &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: a.also}}
	people := person{"the group " + a.group, &syscall.Credential{Uid: nobody, Gid: a.gid}}
	ask := func(who person, right string, paths ...string) {
		for _, path := range paths {
			if !hiddenHome(path) {
				steps = append(steps, who.missing(right, path)...)
			}
		}
	}
	ask(service, "-x", i.Program)
	ask(service, "-w", append([]string{i.Dir, i.State}, i.Shared...)...)
	ask(people, "-w", i.Shared...)
	return steps
}

// programSteps says who could exchange the program that the service runs, and how to end that.
func programSteps(i Installation, w walker) []step {
	return []step{{command{"ls", "-l", i.Program}, func() error { return w.atFile(i.Program, w.keepers.judgeFile) }}}
}

// nobody is a user with no rights of its own.
const nobody = 65534

// person is somebody whose rights are tried.
type person struct {
	name string
	as   *syscall.Credential
}

// may asks the system with the rights of that person. A system without the program test is believed to let them.
func (p person) may(right, path string) bool {
	cmd := exec.Command("test", right, path)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	var refused *exec.ExitError
	return !errors.As(cmd.Run(), &refused)
}

// missing lists what opens the folders above a path, or the program itself, to that person.
func (p person) missing(right, path string) (steps []step) {
	if p.may(right, path) {
		return nil
	}
	closed := func(why string) func() error {
		return func() error { return fmt.Errorf("%s %s", p.name, why) }
	}
	for _, above := range ancestors(path) {
		if !p.may("-x", above) {
			return []step{{command{"chmod", "o+x", above}, closed("cannot get through it to " + path)}}
		}
	}
	if right == "-x" {
		return []step{{command{"chmod", "a+rx", path}, closed("may not run it")}}
	}
	return nil // the step that failed has said so
}

// ancestors lists the folders above a path, the outermost first.
func ancestors(path string) (list []string) {
	for above := filepath.Dir(path); above != "/" && above != "."; above = filepath.Dir(above) {
		list = append([]string{above}, list...)
	}
	return list
}
