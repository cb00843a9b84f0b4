package service

import (
	"errors"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sealpost/internal/words"
)

// flaw is a place at which an untrusted account can redirect a path, with the remedy.
type flaw struct {
	words.Verdict
	owner uint32 // the owner, if the owner is the flaw; else 0
}

func (f *flaw) Error() string { return f.Says }

// lines returns the remaining work of a step, for the admin.
func (f *flaw) lines() []string { return []string{f.Do + "   # " + f.Says} }

// advice returns the verdict for a service that may run as any account.
func (f *flaw) advice() words.Verdict {
	if f.owner == 0 {
		return f.Verdict
	}
	return words.OrRunAs(f.Verdict, accountName(f.owner))
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
		return &flaw{words.EntryOfAnother(entry.path, accountName(entry.stat.Uid),
			command{"chown", "-h", "root", entry.path}.String()), entry.stat.Uid}
	case kept:
		f.Verdict = words.OrSticky(f.Verdict, command{"chmod", "+t", folder.path}.String())
	}
	return f
}

// judgeAlone returns the flaw of a folder to which accounts other than keepers can write, sticky or
// not.
func (k keepers) judgeAlone(folder *handle) error {
	if !slices.Contains(k, folder.stat.Uid) {
		owner := accountName(folder.stat.Uid)
		if isHome(folder) {
			return &flaw{words.HomeOfAnother(folder.path, owner), folder.stat.Uid}
		}
		return &flaw{words.FolderOfAnother(folder.path, owner,
			command{"chown", "-h", "root", folder.path}.String()), folder.stat.Uid}
	}
	others, listed, err := k.writers(folder)
	if err != nil || len(others) == 0 {
		return err
	}
	return &flaw{words.FolderWritable(folder.path, named(others, folder),
		closing(others, listed, folder.path).String()), 0}
}

// judgeFile returns the flaw of a file that accounts other than keepers can change, or of a
// non-file.
func (k keepers) judgeFile(h *handle) error {
	if h.stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return &flaw{words.NoFile(h.path, h.kind()), 0}
	}
	if !slices.Contains(k, h.stat.Uid) {
		return &flaw{words.FileOfAnother(h.path, accountName(h.stat.Uid),
			command{"chown", "-h", "root", h.path}.String()), h.stat.Uid}
	}
	others, listed, err := k.writers(h)
	if err != nil || len(others) == 0 {
		return err
	}
	return &flaw{words.FileWritable(h.path, named(others, h),
		closing(others, listed, h.path).String()), 0}
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
func named(others acl, h *handle) (list []string) {
	for _, e := range others {
		switch e.Tag {
		case aclUser:
			list = append(list, "the account "+accountName(e.ID))
		case aclOwnerGroup:
			list = append(list, "the group "+groupName(h.stat.Gid))
		case aclGroup:
			list = append(list, "the group "+groupName(e.ID))
		case aclOther:
			list = append(list, "every account")
		}
	}
	return list
}

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
