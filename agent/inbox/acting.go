package inbox

import (
	"regexp"
	"strings"
)

// Some names act by themselves: file managers, shells and desktops react to them when they only
// list a folder, or hide their end. They are made harmless. Programs are not among them: their
// names hide nothing, received files are not executable (see executables in [inbox]), and Windows
// gets a Mark of the Web (see web_windows.go).

// actingNames holds whole names, without regard to case.
var actingNames = fold(
	// Explorer: icons, names and classes of the folder (Microsoft, "How to Customize Folders with
	// Desktop.ini")
	"desktop.ini",
	"thumbs.db", // Explorer: pictures of other files (Chromium, net/base/filename_util)
	// Windows and desktops, in the first folder of a disk (Microsoft, "Autorun.inf Entries";
	// freedesktop.org, Autostart Specification 0.5)
	"autorun.inf",
	"autorun", "autorun.sh", "autoopen",
	".autorun", ".autoopen",
	".directory", // KDE: name and icon of the folder, formerly commands (CVE-2019-14744)
	".hidden",    // GNOME: names to hide (GLib, gio/glocalfileinfo.c)
	".ds_store",  // Finder: how the folder is shown
)

// actingExtensions holds extensions that make a name act, without regard to case.
var actingExtensions = fold(
	// Explorer never shows these (the value NeverShowExt of their classes), and follows their
	// targets.
	"lnk",      // CVE-2010-2568, CVE-2025-50154
	"url",      // CVE-2024-43451
	"scf",      // crbug.com/1227995
	"pif",      // a shortcut that may be a program
	"website",  // a pinned page
	"shb",      // a shortcut into a document
	"shs",      // a scrap of a document
	"mapimail", // this and the next three: targets of "Send to"
	"desklink",
	"mydocs",
	"zfsendtotarget",
	"appref-ms", // an application on another computer
	// Explorer reads these when it shows the folder, and connects to the servers in them.
	"library-ms",         // CVE-2025-24071, CVE-2025-24054
	"searchconnector-ms", // CVE-2025-24054
	"search-ms",
	"theme", // CVE-2024-21320
	// Desktops of Linux: a program's name, icon and command (freedesktop.org, Desktop Entry
	// Specification).
	"desktop", "kdelnk",
	// Finder hides these and follows their targets; macOS 11 ran commands of inetloc.
	"webloc", "inetloc", "fileloc",
)

// classExtension matches an extension that sets the kind of a file or folder in Explorer, which
// hides it: CVE-2004-0420.
var classExtension = regexp.MustCompile(`^\{[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\}$`)

// actingMessages holds names that act at the top of a sender's folder: users would take them for
// the site's status.
var actingMessages = fold("STATUS.txt", "STATUS (sealpost).txt", "STATUS.html",
	"STATUS (sealpost).html")

// ownNames is the prefix of the names of sealpost's own files and folders.
var ownNames = folded(ownDir)

// fold returns a set of folded names.
func fold(names ...string) map[string]bool {
	set := map[string]bool{}
	for _, name := range names {
		set[folded(name)] = true
	}
	return set
}

// isActing reports whether programs act on a whole name or on its first character. Shells read a
// leading hyphen as an option when they expand a pattern such as *, and hide a name with a leading
// dot.
func (n naming) isActing(name string, k kind) bool {
	whole := folded(name)
	return strings.HasPrefix(name, "-") || strings.HasPrefix(name, ".") && !n.keepHidden ||
		actingNames[whole] || strings.HasPrefix(whole, ownNames) ||
		k == asMessage && actingMessages[whole]
}

// actingDot returns the index of the dot before an extension that makes a name act, or -1.
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
