package service

import (
	"fmt"
	"strings"
)

// checkLine returns an error for a path that units and command lines cannot hold.
func checkLine(path string) error {
	if strings.ContainsAny(path, "\n\r\x00") {
		return fmt.Errorf("%q has a line break in it: a service cannot be told such a path", path)
	}
	return nil
}

// drives resolves drive letters.
type drives interface {
	isRemote(root string) bool       // a network drive
	share(letter string) string      // the share behind it; empty: unknown
	isSubstitute(letter string) bool // a folder, by subst
}

// checkDrive returns an error for a Windows path that exists only in the session of a user. A path
// of a share, \\server\share\folder, exists in all sessions.
func checkDrive(path string, d drives) error {
	path = strings.TrimPrefix(strings.TrimPrefix(path, `\\?\`), `\\.\`)
	if len(path) < 2 || path[1] != ':' {
		return nil
	}
	letter := strings.ToUpper(path[:2])
	switch {
	case d.isRemote(letter + `\`):
		share := d.share(letter)
		if share == "" {
			share = `\\SERVER\SHARE`
		}
		return fmt.Errorf(
			`%s: %s is a drive that is connected for you, and for nobody else: a service does not see it; write %s instead, and give the service an account that may use that share`,
			path, letter, share+path[2:])
	case d.isSubstitute(letter):
		return fmt.Errorf("%s: %s was made with subst, and only your session knows it: a service "+
			"does not see it; write the path of the folder itself", path, letter)
	}
	return nil
}
