//go:build unix

package way

import (
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"sealpost/internal/reason"
)

// Account returns the name of an account, or its number.
func Account(uid int) string {
	number := strconv.Itoa(uid)
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return number
}

// WrongOwner returns the reason to distrust a file of an account.
func WrongOwner(uid int) reason.Reason {
	return reason.New("wrong-owner", "account", Account(uid))
}

// group returns the name of a group, or its number.
func group(gid int) string {
	number := strconv.Itoa(gid)
	if g, err := user.LookupGroupId(number); err == nil {
		return g.Name
	}
	return number
}

// isTrustedGroup reports whether a group is root's or the private one of a trusted account. A
// private group has the account's name and no other member in the machine's own files. Folders made
// with the umask 002 belong to such groups.
func (w *walk) isTrustedGroup(gid int) bool {
	if gid == 0 {
		return true
	}
	accounts, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return false
	}
	groups, err := os.ReadFile("/etc/group")
	return err == nil && isPrivate(string(accounts), string(groups), gid, w.trusted)
}

// isPrivate reads the texts of /etc/passwd and /etc/group.
func isPrivate(accounts, groups string, gid int, trusted []int) bool {
	number := strconv.Itoa(gid)
	var owners []string // trusted accounts of which the group is the first
	for line := range strings.Lines(accounts) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 4 || fields[3] != number {
			continue
		}
		if uid, err := strconv.Atoi(fields[2]); err != nil || !slices.Contains(trusted, uid) {
			return false
		}
		owners = append(owners, fields[0])
	}
	private := false
	for line := range strings.Lines(groups) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 4 || fields[2] != number {
			continue
		}
		private = slices.Contains(owners, fields[0])
		for member := range strings.SplitSeq(fields[3], ",") {
			if member != "" && !slices.Contains(owners, member) {
				return false
			}
		}
		if !private {
			return false
		}
	}
	return private
}
