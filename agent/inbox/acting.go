package inbox

import (
	"regexp"
	"strings"
)

// Names that file managers, shells and desktops act upon when a folder is only shown, or of which they hide the end, are made
// harmless. Programs are none of them: a name that says that it is a program hides nothing, received files are not
// executable (see executables in [inbox]), and Windows is told that they come from elsewhere (see web_windows.go).

// acting are whole names, without regard to case.
var acting = fold(
	"desktop.ini",                       // Explorer: icons, names and classes of the folder (Microsoft, "How to Customize Folders with Desktop.ini")
	"thumbs.db",                         // Explorer: pictures of other files (Chromium, net/base/filename_util)
	"autorun.inf",                       // Windows, in the first folder of a disk or stick (Microsoft, "Autorun.inf Entries")
	"autorun", "autorun.sh", "autoopen", // desktops, there (freedesktop.org, Autostart Specification 0.5)
	".autorun", ".autoopen",
	".directory", // KDE: name and icon of the folder, once commands (CVE-2019-14744)
	".hidden",    // GNOME: names that are not shown (GLib, gio/glocalfileinfo.c)
	".ds_store",  // Finder: how the folder is shown
)

// actingExtensions make a name act, without regard to case.
var actingExtensions = fold(
	// Explorer never shows these (the value NeverShowExt of their classes), and follows what they name.
	"lnk",      // CVE-2010-2568, CVE-2025-50154
	"url",      // CVE-2024-43451
	"scf",      // crbug.com/1227995
	"pif",      // a shortcut that may be a program
	"website",  // a pinned page
	"shb",      // into a document
	"shs",      // a scrap of one
	"mapimail", // and the next three: what "Send to" does
	"desklink",
	"mydocs",
	"zfsendtotarget",
	"appref-ms", // an application elsewhere
	// Explorer reads these when it shows the folder, and goes to the servers that they name.
	"library-ms",         // CVE-2025-24071, CVE-2025-24054
	"searchconnector-ms", // CVE-2025-24054
	"search-ms",
	"theme", // CVE-2024-21320
	// Desktops of Linux: a program's name, icon and command (freedesktop.org, Desktop Entry Specification).
	"desktop", "kdelnk",
	// Finder: it hides these and follows what they name; macOS 11 ran commands of inetloc.
	"webloc", "inetloc", "fileloc",
)

// classExtension is an extension by which Explorer takes a file or folder for another kind, and which it hides: CVE-2004-0420.
var classExtension = regexp.MustCompile(`^\{[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\}$`)

// actingMessages act at the top of a sender's folder: they look like the file that says how things stand.
var actingMessages = fold("STATUS.txt", "STATUS (sealpost).txt", "STATUS.html")

// ownNames begin the names of the service's own files and folders.
var ownNames = folded(ownDir)

func fold(names ...string) map[string]bool {
	set := map[string]bool{}
	for _, name := range names {
		set[folded(name)] = true
	}
	return set
}

// isActing reports whether programs act upon a whole name, or upon its first character: shells take a leading hyphen for an option
// where a pattern such as * is expanded, and hide a name with a leading dot.
func (n naming) isActing(name string, k kind) bool {
	whole := folded(name)
	return strings.HasPrefix(name, "-") || strings.HasPrefix(name, ".") && !n.keepHidden || acting[whole] ||
		strings.HasPrefix(whole, ownNames) || k == asMessage && actingMessages[whole]
}

// actingDot returns the place of the dot before an extension that makes a name act; -1 when there is none.
func actingDot(name string) int {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return -1
	}
	if ext := folded(name[dot+1:]); actingExtensions[ext] || classExtension.MatchString(ext) {
		return dot
	}
	return -1
}
