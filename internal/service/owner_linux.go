package service

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"syscall"

	"sealpost/internal/words"
)

// errLacking ends a walk at a folder that is missing.
var errLacking = errors.New("is missing")

// WorkAsOwner gives root's rights up for those of the account to which the folder of a daemon belongs. It returns that
// account; empty if root goes on as root, where no other account can replace anything, and for who is not root. Whatever
// lies in the folder, the command then reaches no further than its owner could.
func WorkAsOwner(dir string) (string, error) {
	return workAsOwner(dir, func(*handle, string) error { return errLacking })
}

// MakeAsOwner is WorkAsOwner for a command that makes the folder if it is missing: as the account in whose folder it lies. It
// makes it at once where others could make another meanwhile.
func MakeAsOwner(dir string) (string, error) {
	return workAsOwner(dir, func(in *handle, name string) error {
		if (keepers{0}).judgeAlone(in) != nil && in.stat.Uid == 0 {
			return makeFolder(in, name)
		}
		return errLacking
	})
}

func workAsOwner(dir string, lacking func(in *handle, name string) error) (string, error) {
	if os.Geteuid() != 0 {
		return "", nil
	}
	_, err := walker{keepers: keepers{0}}.last(dir, lacking)
	var f *flaw
	if !errors.As(err, &f) {
		return "", err
	}
	if f.owner == 0 {
		return "", words.NotAsRoot(f.Verdict)
	}
	owner, err := walker{keepers: keepers{0, f.owner}}.last(dir, lacking)
	if err == nil && owner.uid != f.owner { // root's folder in one of another account
		err = f
	}
	if errors.As(err, &f) {
		return "", words.NotAsRoot(f.Verdict)
	}
	if err != nil {
		return "", err
	}
	return owner.user, owner.become()
}

// last returns the owner of the last folder on a way that is there, if only keepers can change what lies in it.
func (w walker) last(path string, lacking func(in *handle, name string) error) (owner account, err error) {
	see := func(h *handle) { owner = account{user: accountName(h.stat.Uid), uid: h.stat.Uid, gid: h.stat.Gid} }
	err = w.with(path, func(in *handle, name string) error {
		see(in)
		return lacking(in, name)
	}, func(h *handle) error {
		if !h.isFolder() {
			return &flaw{words.NoFolder(h.path, h.kind()), 0}
		}
		see(h)
		return w.keepers.judgeAlone(h)
	})
	if errors.Is(err, errLacking) {
		err = nil
	}
	return owner, err
}

// become takes on the rights of an account for good, and those of its groups.
func (a account) become() error {
	gid, groups := a.gid, []int{} // those of its folder, if this machine does not know the account
	if u, err := user.LookupId(formatID(a.uid)); err == nil {
		if gid, err = parseID(u.Gid); err != nil {
			return err
		}
		ids, err := u.GroupIds()
		if err != nil {
			return fmt.Errorf("groups of the account %q: %w", a.user, err)
		}
		for _, id := range ids {
			more, err := parseID(id)
			if err != nil {
				return err
			}
			groups = append(groups, int(more))
		}
	} else if gid == 0 {
		gid = nobody
	}
	if err := errors.Join(syscall.Setgroups(groups), syscall.Setgid(int(gid)), syscall.Setuid(int(a.uid))); err != nil {
		return fmt.Errorf("work as the account %q: %w", a.user, err)
	}
	return nil
}
