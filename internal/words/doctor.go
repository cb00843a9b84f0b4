package words

import (
	"fmt"
	"io/fs"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/shell"
	"sealpost/internal/way"
)

// Verdict is what the doctor says of something: how it is, and what to do about it if it is not well.
type Verdict struct{ Says, Do string }

func verdict(do, format string, args ...any) Verdict {
	return Verdict{Says: fmt.Sprintf(format, args...), Do: do}
}

// What the doctor looks at, where more than a word is needed to name it.
const (
	SpaceInbox = "space for the inbox"
	SpaceState = "space for keys and ledger"
	Welcome    = "hub's welcome"
)

// What is to be done in more than one case.
const (
	asTheAgent  = "run this as the account under which the agent runs"
	letItIn     = "give the account under which the agent runs the right to read and write it"
	repair      = "repair what it lies on"
	joinAgain   = "ask the admin of the hub for a new invitation"
	clockOrJoin = "check this computer's clock; if it is right, " + joinAgain + " and join again"
	setClock    = "set this computer's clock right"
)

// Who looks.

// OtherAccount says that the doctor runs as an account that may not see what the agent sees.
func OtherAccount(state, owner, self, dir string) Verdict {
	return verdict(fmt.Sprintf("%s, such as: sudo -u %s sealpost agent doctor --dir %s", asTheAgent, owner, dir),
		"%s belongs to the account %s, and this runs as %s: what it saw would say nothing of the agent, so nothing else is looked at", state, owner, self)
}

// RootForAgent says that the doctor runs as root, to whom everything is open.
func RootForAgent(state, owner, dir string) Verdict {
	return verdict(fmt.Sprintf("for rights that only root has: sudo -u %s sealpost agent doctor --dir %s", owner, dir),
		"%s belongs to the account %s, and this runs as root: what follows may be otherwise for the agent", state, owner)
}

// Keys.

// KeyTight says that a key is as it should be.
func KeyTight() Verdict { return verdict("", "only its owner can read it") }

// KeyLoose says that others can read a key. The error has the command that ends it.
func KeyLoose(why error) Verdict {
	return verdict("run that command, and tell the admin of the hub: whoever could read the key may have a copy", "%v", why)
}

// KeyOpen says that other accounts have permissions on a key.
func KeyOpen(path string, mode fs.FileMode) Verdict {
	return verdict("chmod 600 "+shell.Quote(path)+", and tell the admin of the hub: whoever could read the key may have a copy",
		"other accounts have permissions on the key %s (mode %04o), and the agent does not start with it", path, mode.Perm())
}

// KeyUnreadable says that this account cannot read a key.
func KeyUnreadable(why error) Verdict { return verdict(asTheAgent, "%v", why) }

// KeySpoiled says that a file holds something else than a key.
func KeySpoiled(why error) Verdict {
	return verdict("put the key back from your backup: docs/for-admins.md says what to do if there is none", "%v", why)
}

// IdentityMissing says that a site that has joined has lost its identity.
func IdentityMissing(path string) Verdict {
	return verdict("put it back from your backup; if there is none the site has to begin anew in a new folder: the admin of the hub removes it and invites it again", "%s is missing", path)
}

// RecipientMissing says that a site that has joined has lost the key to what is sent to it.
func RecipientMissing(path string) Verdict {
	return verdict("put it back from your backup: the agent does not start without it; if there is no backup, 'sealpost agent new-key' makes another, and what waits for the old one has to be sent again", "%s is missing", path)
}

// KeyNotMade says that a site that has not joined has no key yet.
func KeyNotMade(path string) Verdict {
	return verdict("run 'sealpost agent join' with an invitation: it makes the keys", "%s is missing", path)
}

// The certificate.

// NoCertificate says that the site has not joined.
func NoCertificate() Verdict {
	return verdict("run 'sealpost agent join' with an invitation from the admin of the hub", "this site has not joined yet")
}

// CertificateUnreadable says that this account cannot read it.
func CertificateUnreadable(why error) Verdict { return verdict(asTheAgent, "%v", why) }

// CertificateSpoiled says that the file holds something else.
func CertificateSpoiled(path string) Verdict {
	return verdict("move it away, "+joinAgain+" and join again in this folder; the keys stay", "%s holds no certificate", path)
}

// OtherNetwork says that state and configuration are of two networks.
func OtherNetwork() Verdict {
	return verdict("put the right agent.toml or the right state folder in place", "it is of another network than the one in agent.toml")
}

// CertificateEnded says that its time is over.
func CertificateEnded(until time.Time) Verdict {
	return verdict(clockOrJoin, "it has ended, at %s", Time(until))
}

// CertificateEarly says that its time has not begun by this computer's clock.
func CertificateEarly(now time.Time) Verdict {
	return verdict(setClock, "it is not valid yet: this computer's clock says %s", Time(now))
}

// CertificateLate says that it should have been renewed.
func CertificateLate(days int, until time.Time) Verdict {
	return verdict("let the agent run with a connection to its hub: it renews it by itself", "%s left, until %s, and it should have been renewed", daysAre(days), Time(until))
}

// CertificateGood says how long it holds.
func CertificateGood(days int, until time.Time) Verdict {
	return verdict("", "%s left, until %s", daysAre(days), Time(until))
}

func daysAre(days int) string { return Count(int64(days), "day is", "days are") }

// Folders.

// FolderGood says that a folder is as it should be.
func FolderGood(dir string) Verdict { return verdict("", "%s can be read and written", dir) }

// FolderMissing says that a folder is not there.
func FolderMissing(dir string) Verdict {
	return verdict("mount what it lies on, or make it again; the agent makes it at its next start unless something is under way in it", "%s is missing", dir)
}

// FolderClosed says that this account may not use a folder.
func FolderClosed(why error) Verdict { return verdict(letItIn, "%v", why) }

// FolderBroken says that a folder cannot be used for another reason.
func FolderBroken(why error) Verdict { return verdict(repair, "%v", why) }

// FolderFull says that the disk of a folder takes nothing more.
func FolderFull(dir string) Verdict {
	return verdict("make room on that disk; nothing is lost", "the disk of %s is full", dir)
}

// EntryInPlaceOfSender reports an entry in the inbox with the name of a site that is no folder.
func EntryInPlaceOfSender(inbox string, site id.Site) Verdict {
	return verdict("remove it; the hub keeps that site's files until then",
		"%s in %s is no folder, so that no file of that site can be placed", site, inbox)
}

// FileInPlace says that a file has the name of a folder.
func FileInPlace(dir string) error {
	return fmt.Errorf("%s is not a directory: a file of that name is there", dir)
}

// VolumesDiffer says that nothing can be renamed from one folder of a tray into another.
func VolumesDiffer(dir string, why error) Verdict {
	return verdict("put outbox, sending, delivered and failed on the same volume: nothing can be taken otherwise", "a file cannot be renamed into %s: %v", dir, why)
}

// OneVolume says that a tray is as it should be.
func OneVolume() Verdict { return verdict("", "its four folders are on one volume") }

// FolderLinked says that another account has put a link in the place of a folder.
func FolderLinked(dir string) Verdict {
	return verdict("remove the link, and put the folder back in its place", "a link that another account has made lies in the place of %s, or on the way to it", dir)
}

// Permissions.

// Permissions are what the doctor calls those of the state folder and of the folders above it, the trays and the inbox.
const Permissions = "permissions"

// PermissionsGood says that no other account gets at the state folder.
func PermissionsGood(state string) Verdict {
	return verdict("", "only its own account gets into %s, and no other account could replace it, a tray or the inbox", state)
}

// AccessListsGood says the same where only the state folder's access lists are looked at.
func AccessListsGood(state string) Verdict {
	return verdict("", "only its own account, SYSTEM and Administrators get into %s", state)
}

// PermissionsUnknown says that this account could not look at all of the state folder.
func PermissionsUnknown(why error) Verdict { return verdict(asTheAgent, "%v", why) }

// WayLoose says that another account could replace a folder.
func WayLoose(to string, f way.Fault) Verdict {
	return verdict(f.Verdict().Do.String(), "%s: so another account could put something else in the place of %s", f.Verdict().Says, to)
}

// FolderOpen says that other accounts have permissions on the state folder or a folder in it.
func FolderOpen(path string, mode fs.FileMode) Verdict {
	return verdict("chmod 700 "+shell.Quote(path), "other accounts have permissions on the folder %s (mode %04o)", path, mode.Perm())
}

// FileOpen says that other accounts have permissions on a file of the state folder.
func FileOpen(path string, mode fs.FileMode) Verdict {
	return verdict("chmod 600 "+shell.Quote(path), "other accounts have permissions on %s (mode %04o)", path, mode.Perm())
}

// FileLinked says the same of a file that has another name as well.
func FileLinked(path string, mode fs.FileMode) Verdict {
	return verdict("find its other name (find / -xdev -samefile "+shell.Quote(path)+"); if it is a copy of yours: chmod 600 "+shell.Quote(path)+"; if not, remove this name",
		"other accounts have permissions on %s (mode %04o), which has another name elsewhere", path, mode.Perm())
}

// FileForeign says that another account's file lies in the state folder.
func FileForeign(path, account string) Verdict {
	return verdict("find out who has put it there, and remove it: the agent does not start with it", "%s belongs to the account %s", path, account)
}

// FileListed says that an access list of Windows lets another account in.
func FileListed(path, account string) Verdict {
	return verdict(fmt.Sprintf(`nothing, if the service runs under that account; else: icacls "%s" /remove:g "*%s"`, path, account),
		"the access list of %s lets in %s, besides this account, its owner, SYSTEM and Administrators", path, account)
}

// MoreFlaws says that not every flaw was named.
func MoreFlaws(state string, count int) Verdict {
	return verdict("start the agent again: it closes what is its own; or: chmod -R go-rwx "+shell.Quote(state), "it is the same with %s in %s", Count(int64(count), "more file", "more files"), state)
}

// ConfigOpen says that other accounts may write to agent.toml.
func ConfigOpen(path string, mode fs.FileMode) Verdict {
	return verdict("chmod go-w "+shell.Quote(path), "other accounts may write to %s (mode %04o), and so tell the agent what to send, and to whom", path, mode.Perm())
}

// ConfigForeign says that another account owns agent.toml.
func ConfigForeign(path, account string) Verdict {
	return verdict("chown root "+shell.Quote(path), "%s belongs to the account %s, which so tells the agent what to send, and to whom", path, account)
}

// Space.

// SpaceUsedUp says that too little is free.
func SpaceUsedUp(dir string, free, need int64) Verdict {
	return verdict("make room: until then nothing is received or sent, and nothing is lost", "%s", mustStay(dir, free, need))
}

// SpaceShort says that little is free.
func SpaceShort(dir string, free, need int64) Verdict {
	return verdict("make room before it is used up", "%s", mustStay(dir, free, need))
}

func mustStay(dir string, free, need int64) string {
	return fmt.Sprintf("%s are free at %s, and %s must stay free", Size(free), dir, Size(need))
}

// SpaceGood says that enough is free.
func SpaceGood(dir string, free int64) Verdict {
	return verdict("", "%s are free at %s", Size(free), dir)
}

// SpaceUnknown says that the system does not tell.
func SpaceUnknown(why error) Verdict { return verdict(repair, "%v", why) }

// Notifications of new files.

const quickEnough = "nothing, if that is quick enough"

func raise(limit string, to int) string {
	return fmt.Sprintf("raise the limit: sysctl fs.inotify.%s=%d, and in /etc/sysctl.d/ for the next start of the machine", limit, to)
}

func swept(every time.Duration) string {
	return "files are found all the same, every " + every.String()
}

// Notified says that the system tells of new files.
func Notified() Verdict { return verdict("", "the system tells of new files") }

// InstancesUsedUp says that the account can have no more watchers.
func InstancesUsedUp(sweep time.Duration) Verdict {
	return verdict(raise("max_user_instances", 1024), "this account has used up its inotify instances; %s", swept(sweep))
}

// WatchesUsedUp says that the account can watch no more folders.
func WatchesUsedUp(sweep time.Duration) Verdict {
	return verdict(raise("max_user_watches", 65536), "this account has used up its inotify watches; %s", swept(sweep))
}

// WatchesFew says that the account can watch few folders.
func WatchesFew(limit int, sweep time.Duration) Verdict {
	return verdict(raise("max_user_watches", 65536), "only %d folders can be watched by all programs of this account; %s", limit, swept(sweep))
}

// NotNotified says that the system does not tell of new files.
func NotNotified(why error, sweep time.Duration) Verdict {
	return verdict(quickEnough, "the system gives none (%v); %s", why, swept(sweep))
}

// OutboxNotWatched says that the system does not tell of new files in outbox.
func OutboxNotWatched(why error, sweep time.Duration) Verdict {
	return verdict(quickEnough, "outbox cannot be watched (%v); %s", why, swept(sweep))
}
