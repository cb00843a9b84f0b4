package words

import (
	"fmt"
	"strings"
)

// What install refuses to do as root, and why. Commands are handed in as a shell reads them.

// FolderOfAnother says that the owner of a folder can replace its entries.
func FolderOfAnother(folder, owner, command string) Verdict {
	return verdict(command, "%s belongs to %s, who can replace what lies in it", folder, owner)
}

// HomeOfAnother says the same of a home, which cannot be given to another account.
func HomeOfAnother(folder, owner string) Verdict {
	return FolderOfAnother(folder, owner, "choose a folder outside of "+folder+", such as one in /srv")
}

// FolderWritable says that others than the owner of a folder can replace its entries.
func FolderWritable(folder string, who []string, command string) Verdict {
	return verdict(command, "%s can be changed by %s, who can replace what lies in it", folder, strings.Join(who, " and "))
}

// OrSticky adds a command that lets them go on adding to the folder, and keep to what is theirs.
func OrSticky(v Verdict, command string) Verdict {
	v.Do += "   (or, if they are to go on adding to it: " + command + ")"
	return v
}

// EntryOfAnother says that an entry of a folder to which others may write does not belong to who may keep it there.
func EntryOfAnother(path, owner, command string) Verdict {
	return verdict(command, "%s belongs to %s, who can replace it", path, owner)
}

// LinkInTheWay says that a path leads over a link that root has not made for itself.
func LinkInTheWay(link string) Verdict {
	return verdict("write the folder to which it leads into the configuration, or remove the link",
		"%s is a link, and others than root can change where it leads", link)
}

// NoFolder says that something else has the name of a folder.
func NoFolder(path, kind string) Verdict {
	return verdict("look at it, and move it away", "%s is a %s, where a folder has to be", path, kind)
}

// NoFile says that something else has the name of a file.
func NoFile(path, kind string) Verdict {
	return verdict("look at it, and move it away", "%s is a %s, where a file has to be", path, kind)
}

// FileWritable says that others can change a file.
func FileWritable(path string, who []string, command string) Verdict {
	return verdict(command, "%s can be changed by %s", path, strings.Join(who, " and "))
}

// FileOfAnother says that a file belongs to another account.
func FileOfAnother(path, owner, command string) Verdict {
	return verdict(command, "%s belongs to %s", path, owner)
}

// LookFirst says that a file, by which root is told what to do, must be read before it is trusted.
func LookFirst(v Verdict) Verdict {
	v.Do = "look at what it says, then: " + v.Do
	return v
}

// NamedByAnother says that folders elsewhere are named by a configuration that root has not written.
func NamedByAnother(file, command string) Verdict {
	return LookFirst(verdict(command, "%s opens it to the service, and root has not written that file", file))
}

// FoldersRefused says that nothing was changed, and why. Each refusal is a path with its verdict.
func FoldersRefused(refusals []string) error {
	return fmt.Errorf("nothing was changed, because other accounts can replace folders in which root would work:\n%s\nDo that, and run the same command again",
		strings.Join(refusals, "\n"))
}

// FolderRefused is a refusal: for which path, why, and what to do.
func FolderRefused(path string, v Verdict) string {
	if strings.HasPrefix(v.Says, path+" ") {
		return fmt.Sprintf("  %s\n    %s", v.Says, v.Do)
	}
	return fmt.Sprintf("  %s: %s\n    %s", path, v.Says, v.Do)
}

// OrRunAs adds that the service may run as the account that can replace a folder.
func OrRunAs(v Verdict, owner string) Verdict {
	v.Do += "   (or let the service run as that account: --user " + owner + ")"
	return v
}

// OtherNames says that a file has other names, and was left to its owner for that.
func OtherNames(n int) string {
	return fmt.Sprintf("is left to its owner: the same file has %d names, and not all need lie here; "+
		"if it is this site's own, copy it to another name with cp -p, move that over it, and install again", n)
}

// Mounted says that a folder was left because something is mounted on it.
func Mounted() string {
	return "is left as it is: another file system is mounted there; run this only if it is the service's own"
}

// NoContent says that something was left to its owner because it is of another kind than files and folders.
func NoContent(kind string) string { return "is left to its owner: it is a " + kind }

// TooDeep says that a folder was left because nothing of sealpost's lies so deep.
func TooDeep() string { return "is left as it is: it lies deeper than anything of sealpost's" }

// MoreLeft says that others were left to their owners for the same reasons.
func MoreLeft(n int) string {
	return Count(int64(n), "more is left to its owner", "more are left to their owners")
}
