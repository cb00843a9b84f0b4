package config

import (
	"os"
	"path/filepath"
)

// OfOtherUse returns the name of the file by which a folder has another use than own gives it. It
// is a hub's, a site's or an admin's. Without such a file it returns the empty string.
func OfOtherUse(dir, own string) string {
	for _, file := range []string{HubFile(dir), AgentFile(dir), filepath.Join(dir, "remote.toml")} {
		if file == own {
			continue
		}
		if _, err := os.Lstat(file); err == nil {
			return filepath.Base(file)
		}
	}
	return ""
}
