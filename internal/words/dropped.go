package words

import (
	"fmt"
	"strings"
	"time"
)

// Why an entry of outbox is left alone.
const (
	IgnoredName      = "the tray's configuration says to leave alone what has such a name"
	OwnNote          = "it is a note of sealpost's own about a folder in sending: delete it here"
	MarkerAlone      = "it marks a folder as finished, and that folder is not here (any more): remove it"
	MarkerOfOther    = "it marks a folder of another account as finished, and only that account can: remove it"
	MayNotRead       = "sealpost may not read it: copy it here instead of moving it, or give sealpost's account the right to"
	MayNotMove       = "it cannot be moved out of this folder: give sealpost's account the right to write here"
	HeldFromMoving   = "another program has it open and keeps it from being moved: close it there"
	OthersMayNotMove = "many files before it cannot be moved out of this folder: give sealpost's account the right to write here, and close them in other programs"
	IsLink           = "it is a link: copy the file itself"
	SecondName       = "it is a second name (hard link) of a file that belongs to sealpost's own account: copy the file itself"
	AnySecondName    = "it is a second name (hard link) of a file, which on this system any account can give to files that it may not read: copy the file itself"
	NotDropped       = "it belongs to sealpost's own account, and something else was claimed under its name: move it into outbox if it is to be sent"
	PathTooLong      = "its path in the folder is too long: shorten the names of the folders above it"
	TooManyLevels    = "it lies in too many folders inside one another: take folders out of them"
	StateInTray      = "it is the folder of sealpost's keys, which was moved here: move it back to where agent.toml says that it is"
	IsNoFile         = "it is neither a file nor a folder"
	NameNotUTF8      = "its name is not valid UTF-8: rename it"
	StrangeSending   = "it is not what sealpost puts there: move it out of here, and into outbox if it is to be sent"
)

// stillWritten begins the reasons that pass by themselves.
const stillWritten = "it is still being written"

// Patience orders reasons by who ends them: 0 an operator, 1 the program that writes the file, 2 nobody needs to.
func Patience(why string) int {
	switch {
	case why == IgnoredName:
		return 2
	case strings.HasPrefix(why, stillWritten), strings.Contains(why, onceQuiet):
		return 1
	}
	return 0
}

// ofFolder begins the reasons that are of a folder of a tray and not of an entry in it.
const ofFolder = "the folder "

// OfFolder reports whether a reason is of a folder of a tray.
func OfFolder(why string) bool { return strings.HasPrefix(why, ofFolder) }

// StillWritten says since when it is known that somebody is writing it.
func StillWritten(since time.Time) string {
	return stillWritten + ", since " + Time(since) + " or earlier: it is taken when that has ended"
}

// FolderUnreadable says that a folder of a tray cannot be looked through.
func FolderUnreadable(why string) string {
	return fmt.Sprintf(ofFolder+"cannot be read (%s): make it again, or give sealpost's account the right to it", why)
}

// NoAddress says that the name of the folder in which it lies is no address.
func NoAddress(why error) string {
	return fmt.Sprintf("it lies in a folder whose name begins with an @ and is no site's: rename that folder to an @ and the site's name, such as @CA-RC, or @CA-RC,SF-RC for two (%v)", why)
}

// Unreadable says that it cannot be read for another reason.
func Unreadable(why string) string { return "it cannot be read: " + why }

// TooLarge says that it is larger than any message.
func TooLarge(most int64) string {
	return "it is larger than " + Size(most) + ", and cannot be sent as one: divide it, and drop the parts"
}

// Inside says why a folder is left alone: something in it.

// MayNotReadFolder is a folder in it that is closed, or it itself.
func MayNotReadFolder(name string) string {
	if name == "" || name == "." {
		return MayNotRead
	}
	return fmt.Sprintf("sealpost may not read the folder %q in it: give its account the right to", name)
}

// MayNotReadFile is a file in it that is closed.
func MayNotReadFile(name string) string {
	return fmt.Sprintf("sealpost may not read %q in it: give its account the right to", name)
}

// UnfinishedInside is a file in it that some program has not finished with, or has forgotten.
func UnfinishedInside(name string) string {
	return fmt.Sprintf("%q in it has the name of a temporary file: it is taken when the program that made that file has finished, or when somebody has deleted it", name)
}

// NameInsideNotUTF8 is a name in it that other computers cannot have.
func NameInsideNotUTF8(name string) string {
	return fmt.Sprintf("the name of %q in it is not valid UTF-8: rename it", name)
}

// CannotBeSent is something in it that is no file and no folder.
func CannotBeSent(name, why string) string {
	return fmt.Sprintf("%q in it cannot be sent: %s", name, why)
}

// EndedElsewhere says of a folder in sending that its message has ended without it.
func EndedElsewhere(state string) string {
	return fmt.Sprintf("its message has ended (%s), as the file under its name was renamed, taken away or replaced: move what lies here into outbox if it is to be sent", state)
}

// What keeps a file from being read, taken or claimed, for logs and for the status.
const (
	ChangedSince      = "the file has changed since it was taken"
	ReplacedMeanwhile = "it was replaced while it was opened"
	LedgerUnreadable  = "the ledger cannot be read"
)

// NoteDamaged says that what sealpost itself has noted in a folder cannot be read.
func NoteDamaged(note string, why error) error {
	return fmt.Errorf("%s in it is damaged: %w", note, why)
}

// SecretDamaged says that a file of the state folder is not what it was.
func SecretDamaged(path string, got, want int) error {
	return fmt.Errorf("%s is damaged: it has %d bytes and not %d", path, got, want)
}

// OneFolderTwice says that two trays are one.
func OneFolderTwice(folder, tray, otherFolder, other string) error {
	return fmt.Errorf("the folders %s of the tray %s and %s of the tray %s are one: give each tray a dir of its own", folder, tray, otherFolder, other)
}

// ContentNotGiven says that the hub does not give the content of something for this site.
func ContentNotGiven(why error) string {
	return fmt.Sprintf("the hub does not give its content; asking again: %v", why)
}

// RecalledAfterLoss is the reason of a recalled message that a lost ledger may have sent.
const RecalledAfterLoss = "it may have been sent before the ledger was lost, and then its " +
	"recipients have it"

// NoRoomToMove is the reason of a file that waits in outbox for room in sending.
const NoRoomToMove = "the disk of this folder is full: make room there, and it is taken by itself"
