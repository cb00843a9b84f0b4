package words

import (
	"fmt"

	"sealpost/internal/id"
)

// What may be the matter with something for this site.

// HalfPlaced says why a message that came in a second envelope waits.
const HalfPlaced = "the same message came in another envelope, and is not in its place yet"

// NoRoomInInbox says that the disk is too full; InboxFull says how full.
const NoRoomInInbox = "there is no room in the inbox's volume"

// InboxFull says what is free, what has to stay so, and what is to come, if that is known.
func InboxFull(full error, dir string, free, reserve, coming int64) error {
	if coming == 0 {
		return fmt.Errorf("%w %s: %s are free, and %s must stay free", full, dir, Size(free), Size(reserve))
	}
	return fmt.Errorf("%w %s: %s are free, %s must stay free, and %s are to come", full, dir, Size(free), Size(reserve), Size(coming))
}

// NamesUsedUp says that no name is left for a file.
func NamesUsedUp(path string) error {
	return fmt.Errorf("%s: a thousand files of that name are there", path)
}

// InTheWay says that an entry keeps sealpost from making a folder of its own.
func InTheWay(dir, name string, err error) error {
	return fmt.Errorf("%s in %s has the name of a folder of sealpost and cannot be renamed (%w): remove it. %s", name, dir, err, inboxWaits)
}

// SenderFolder says that the folder of a sender cannot be used.
func SenderFolder(sender id.Site, err error) error {
	return fmt.Errorf("the folder of %s in the inbox cannot be used; remove what lies in its place, or give sealpost access: %w", sender, err)
}

const inboxWaits = "Nothing is received until then: the hub keeps the files, and their senders have them"

// InboxAway says that sealpost cannot work in the folder of the inbox.
func InboxAway(dir string, err error) error {
	return fmt.Errorf("the inbox cannot be used (%w): connect the disk or the share on which %s lies, or give sealpost access. %s. %s", err, dir, inboxWaits, newInbox)
}

const newInbox = "If it is gone for good, name another folder as dir in [inbox] of agent.toml, and restart sealpost"

// InboxOther says that the folder of the inbox is another one than before.
func InboxOther(dir string) error {
	return fmt.Errorf("%s is not the folder in which sealpost has placed files before: connect the disk or the share on which that one lies. %s. %s", dir, inboxWaits, newInbox)
}

// InboxOfAnotherAccount reports an inbox folder that now belongs to another account.
func InboxOfAnotherAccount(dir string) error {
	return fmt.Errorf("%s belongs to another account than before, which could read whatever arrives: give it back to sealpost's account or root (chown). %s. %s",
		dir, inboxWaits, newInbox)
}

// InboxOfOthers says that the folder is the inbox of another site, or was that of this one before it was set up again.
func InboxOfOthers(dir string) error {
	return fmt.Errorf("%s is another inbox than the one in which sealpost has placed files before: connect the disk or the share on which that one lies. %s. %s", dir, inboxWaits, newInbox)
}

// TempGone says that the content of a message that was being placed is not where it was written.
func TempGone(message id.Message, dir string) error {
	return fmt.Errorf("%s was being placed when sealpost was interrupted, and the folder .sealpost into which it was written is not in %s any more: put that folder back. Its sender has the file", message, dir)
}
