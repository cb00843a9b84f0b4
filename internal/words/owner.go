package words

import "fmt"

// With whose rights a command works that root has called.

// WorksAs says whose rights a command has that root has called.
func WorksAs(account, dir string) string {
	return fmt.Sprintf("Working as %s, to whom %s belongs.", account, dir)
}

// BecauseWorksAs says why a command that root has called may not do something, and how it may.
func BecauseWorksAs(why error, account, dir string) error {
	return fmt.Errorf("%w: this works as %s, to whom %s belongs; to work as root, give the folder to root first (chown -h root), and run install again afterwards", why, account, dir)
}

// NotAsRoot refuses to let root work in a folder that other accounts can replace.
func NotAsRoot(v Verdict) error {
	return fmt.Errorf("other accounts can replace a folder in which root would work: %s\n  %s", v.Says, v.Do)
}
