package service

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"syscall"

	"sealpost/internal/reason"
)

// errLacking ends a walk at a missing folder.
var errLacking = errors.New("is missing")

// WorkAsOwner changes root's rights for those of the owner of a daemon's folder. The command can
// then do no more than the owner. It returns that account. It returns "" for a caller other than
// root, and if root stays root because no other account can replace anything.
func WorkAsOwner(dir string) (string, error) {
	return workAsOwner(dir, func(*handle, string) error { return errLacking })
}

// MakeAsOwner is WorkAsOwner for a command that makes a missing folder, as the owner of the folder
// above. It makes it at once if another account could make one meanwhile.
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
		return "", notAsRoot(f)
	}
	owner, err := walker{keepers: keepers{0, f.owner}}.last(dir, lacking)
	if err == nil && owner.uid != f.owner { // root's folder in a folder of another account
		err = f
	}
	if errors.As(err, &f) {
		return "", notAsRoot(f)
	}
	if err != nil {
		return "", err
	}
	return owner.user, owner.become()
}

// notAsRoot returns the error for a folder in which root must not work.
func notAsRoot(f *flaw) error { return reason.Err("not-as-root", "says", f.Says, "do", f.Do) }

// last returns the owner of the last existing folder on a way, if only keepers can change its
// entries.
func (w walker) last(path string, lacking func(in *handle, name string) error) (
	owner account, err error) {
	see := func(h *handle) {
		owner = account{user: accountName(h.stat.Uid), uid: h.stat.Uid, gid: h.stat.Gid}
	}
	err = w.with(path, func(in *handle, name string) error {
		see(in)
		return lacking(in, name)
	}, func(h *handle) error {
		if !h.isFolder() {
			return notFolder(h)
		}
		see(h)
		return w.keepers.judgeAlone(h)
	})
	if errors.Is(err, errLacking) {
		err = nil
	}
	return owner, err
}

// become changes the rights for good to those of an account and its groups.
func (a account) become() error {
	gid, groups := a.gid, []int{} // the folder's, if this machine does not know the account
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
		gid = overflowUser
	}
	if err := errors.Join(syscall.Setgroups(groups), syscall.Setgid(int(gid)),
		syscall.Setuid(int(a.uid))); err != nil {
		return fmt.Errorf("work as the account %q: %w", a.user, err)
	}
	return nil
}
