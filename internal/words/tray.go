package words

import (
	"fmt"
	"strings"
)

// TrayMissing says that a tray is not configured any more, and what to do.
func TrayMissing(tray string) string {
	return fmt.Sprintf("its tray %q is not in agent.toml any more: put it back there under this name, and start the agent again", tray)
}

// TrayAway says of a tray that is not configured any more what its messages wait for, and what to do.
func TrayAway(tray string, waiting, sent, unfiled int64) string {
	says := []string{fmt.Sprintf("the tray %q is not in agent.toml any more", tray)}
	if waiting > 0 {
		says = append(says, Count(waiting, "file of it is", "files of it are")+" not sent")
	}
	if sent > 0 {
		says = append(says, Count(sent, "file of it is", "files of it are")+" on the way, and the receipts are still followed")
	}
	if unfiled > 0 {
		says = append(says, Count(unfiled, "file of it has", "files of it have")+" ended and cannot be moved out of the folder sending")
	}
	return strings.Join(says, "; ") + ". Put the tray back there under this name, or give the one that took its place this name, and start the agent again"
}
