package service

import (
	"strings"

	"sealpost/internal/reason"
)

// checkLine returns an error for a path that units and command lines cannot hold.
func checkLine(path string) error {
	if strings.ContainsAny(path, "\n\r\x00") {
		return reason.Err("path-line-break", "path", path)
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
		return reason.Err("drive-remote", "path", path, "letter", letter, "share", share+path[2:])
	case d.isSubstitute(letter):
		return reason.Err("drive-substitute", "path", path, "letter", letter)
	}
	return nil
}
