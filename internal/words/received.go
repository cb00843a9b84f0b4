package words

import (
	"fmt"

	"sealpost/internal/id"
)

// What may be the matter with something for this site.

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

// IdentityUsedTwice is why a message is refused that says it is another one.
func IdentityUsedTwice(message id.Message, uid id.UID) string {
	return fmt.Sprintf("%s: its identity %s was used before for other content", message, uid)
}

// InTheWay says that an entry keeps sealpost from making a folder of its own.
func InTheWay(dir, name string, err error) error {
	return fmt.Errorf("%s has the name of a folder of sealpost and cannot be set aside: remove it from %s: %w", name, dir, err)
}

// SenderFolder says that the folder of a sender cannot be used.
func SenderFolder(sender id.Site, err error) error {
	return fmt.Errorf("the folder of %s in the inbox cannot be used; remove what lies in its place, or give sealpost access: %w", sender, err)
}
