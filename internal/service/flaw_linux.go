package service

import (
	"errors"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sealpost/internal/reason"
)

// flaw is a place at which an untrusted account can redirect a path, with the remedy.
type flaw struct {
	reason.Verdict
	path  string
	owner uint32 // the owner, if the owner is the flaw; else 0
}

func (f *flaw) Error() string { return f.Says.String() }

// lines returns the remaining work of a step, for the admin.
func (f *flaw) lines() []reason.Reason { return []reason.Reason{leftToDo(f.Do, f.Says)} }

// refusal returns the reason to leave a path of the installation alone. The service may run as any
// account.
func (f *flaw) refusal(path string) reason.Reason {
	do := f.Do
	if f.owner != 0 {
		do = reason.New("or-run-as", "do", do, "account", accountName(f.owner))
	}
	if f.path == path {
		path = ""
	}
	return reason.New("folder-refused", "path", path, "says", f.Says, "do", do)
}

// refuse returns the error for folders in which root must not work.
func refuse(refusals ...reason.Reason) error {
	return reason.Err("folders-refused", "refusals", refusals)
}

// lookFirst is the remedy for a file that an admin must read before root trusts it.
func lookFirst(do reason.Reason) reason.Reason { return reason.New("look-first", "do", do) }

// notFolder returns the flaw of an object in the place of a folder.
func notFolder(h *handle) error {
	return &flaw{reason.Verdict{
		Says: reason.New("no-folder", "path", h.path, "kind", h.kind()),
		Do:   reason.New("move-away")}, h.path, 0}
}

// keepers are the accounts that may change the folders of a way.
type keepers []uint32

const write = 2

// writers returns the entries of the access list, or mode, that let accounts other than keepers and
// owner write.
func (k keepers) writers(h *handle) (others acl, listed bool, err error) {
	list, err := readACL(h, aclAccess)
	if errors.Is(err, unix.EOPNOTSUPP) {
		list, err = nil, nil
	}
	if err != nil {
		return nil, false, err
	}
	listed = list != nil
	if !listed {
		list = aclOfMode(h.stat.Mode)
	}
	for _, e := range list {
		// Ignore the mask: the next change of the list can lift it.
		if e.Perm&write != 0 && e.Tag != aclOwner && e.Tag != aclMask &&
			!(e.Tag == aclUser && slices.Contains(k, e.ID)) {
			others = append(others, e)
		}
	}
	return others, listed, nil
}

// judge returns the flaw of a folder for opening an entry: nil if only keepers can replace the
// entry. The entry is nil if it is missing.
func (k keepers) judge(folder, entry *handle) error {
	err := k.judgeAlone(folder)
	var f *flaw
	if !errors.As(err, &f) || f.owner != 0 {
		return err
	}
	sticky, kept := folder.stat.Mode&unix.S_ISVTX != 0, entry == nil ||
		slices.Contains(k, entry.stat.Uid)
	switch {
	case sticky && kept:
		return nil
	case sticky:
		return &flaw{reason.Verdict{
			Says: reason.New("entry-foreign", "path", entry.path, "owner",
				accountName(entry.stat.Uid)),
			Do: command{"chown", "-h", "root", entry.path}.reason()}, entry.path, entry.stat.Uid}
	case kept:
		f.Do = reason.New("or-sticky", "do", f.Do, "command",
			command{"chmod", "+t", folder.path}.String())
	}
	return f
}

// judgeAlone returns the flaw of a folder to which accounts other than keepers can write, sticky or
// not.
func (k keepers) judgeAlone(folder *handle) error {
	if !slices.Contains(k, folder.stat.Uid) {
		do := command{"chown", "-h", "root", folder.path}.reason()
		if isHome(folder) { // it cannot be given to another account
			do = reason.New("leave-home", "folder", folder.path)
		}
		return &flaw{reason.Verdict{
			Says: reason.New("folder-foreign", "folder", folder.path, "owner",
				accountName(folder.stat.Uid)),
			Do: do}, folder.path, folder.stat.Uid}
	}
	others, listed, err := k.writers(folder)
	if err != nil || len(others) == 0 {
		return err
	}
	return &flaw{reason.Verdict{
		Says: reason.New("folder-writable", "folder", folder.path, "writers",
			named(others, folder)),
		Do: closing(others, listed, folder.path).reason()}, folder.path, 0}
}

// judgeFile returns the flaw of a file that accounts other than keepers can change, or of a
// non-file.
func (k keepers) judgeFile(h *handle) error {
	if h.kind() != aFile {
		return &flaw{reason.Verdict{
			Says: reason.New("no-file", "path", h.path, "kind", h.kind()),
			Do:   reason.New("move-away")}, h.path, 0}
	}
	if !slices.Contains(k, h.stat.Uid) {
		return &flaw{reason.Verdict{
			Says: reason.New("file-foreign", "path", h.path, "owner", accountName(h.stat.Uid)),
			Do:   command{"chown", "-h", "root", h.path}.reason()}, h.path, h.stat.Uid}
	}
	others, listed, err := k.writers(h)
	if err != nil || len(others) == 0 {
		return err
	}
	return &flaw{reason.Verdict{
		Says: reason.New("file-writable", "path", h.path, "writers", named(others, h)),
		Do:   closing(others, listed, h.path).reason()}, h.path, 0}
}

// isHome reports whether a folder is the home of its owner.
func isHome(folder *handle) bool {
	if filepath.Dir(folder.path) == "/home" {
		return true
	}
	u, err := user.LookupId(formatID(folder.stat.Uid))
	return err == nil && filepath.Clean(u.HomeDir) == folder.path
}

// closing returns the command that removes write permission from others.
func closing(others acl, listed bool, path string) command {
	var mode, list []string
	for _, e := range others {
		rights := ":" + strings.NewReplacer("0", "---", "1", "--x", "4", "r--", "5",
			"r-x").Replace(strconv.Itoa(int(e.Perm&^write)))
		switch e.Tag {
		case aclUser:
			list = append(list, "u:"+accountName(e.ID)+rights)
		case aclOwnerGroup:
			mode, list = append(mode, "g-w"), append(list, "g:"+rights)
		case aclGroup:
			list = append(list, "g:"+groupName(e.ID)+rights)
		case aclOther:
			mode, list = append(mode, "o-w"), append(list, "o:"+rights)
		}
	}
	if listed {
		return command{"setfacl", "-m", strings.Join(list, ","), path}
	}
	return command{"chmod", strings.Join(mode, ","), path}
}

// named returns the names of the accounts and groups of entries.
func named(others acl, h *handle) (list []reason.Reason) {
	for _, e := range others {
		switch e.Tag {
		case aclUser:
			list = append(list, theAccount(accountName(e.ID)))
		case aclOwnerGroup:
			list = append(list, theGroup(groupName(h.stat.Gid)))
		case aclGroup:
			list = append(list, theGroup(groupName(e.ID)))
		case aclOther:
			list = append(list, reason.New("every-account"))
		}
	}
	return list
}

func theAccount(name string) reason.Reason { return reason.New("the-account", "account", name) }

func theGroup(name string) reason.Reason { return reason.New("the-group", "group", name) }

// accountName returns the name of an account, or its number.
func accountName(uid uint32) string {
	if u, err := user.LookupId(formatID(uid)); err == nil {
		return u.Username
	}
	return formatID(uid)
}

// groupName returns the name of a group, or its number.
func groupName(gid uint32) string {
	if g, err := user.LookupGroupId(formatID(gid)); err == nil {
		return g.Name
	}
	return formatID(gid)
}

func formatID(id uint32) string { return strconv.FormatUint(uint64(id), 10) }
