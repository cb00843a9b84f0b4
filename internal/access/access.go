// Package access makes and checks the Windows access lists of sealpost's files, folders and pipes.
//
// Its lists admit one account, SYSTEM and Administrators only, and inherit nothing from the folder.
// Texts and checks are the same on every system, so that they can be tested anywhere;
// access_windows.go holds the calls of Windows.
package access

import "fmt"

// The accounts that are admitted besides the account itself.
const (
	system         = "S-1-5-18"
	administrators = "S-1-5-32-544"
	ownerRights    = "S-1-3-4" // the owner of the file
)

// inherited are the flags of a folder's access list that its files and folders inherit.
const inherited = "OICI"

// descriptor returns a protected access list in SDDL. It gives full access to the account, which
// also becomes the owner, to SYSTEM and to Administrators.
func descriptor(sid, flags string) string {
	return fmt.Sprintf("O:%[1]sD:P(A;%[2]s;FA;;;%[1]s)(A;%[2]s;FA;;;SY)(A;%[2]s;FA;;;BA)", sid,
		flags)
}

// entry is one line of an access list.
type entry struct {
	denies bool
	sid    string // empty: of an unknown kind
}

// stranger returns the first admitted SID besides the account, the owner, SYSTEM and
// Administrators, or "".
func stranger(list []entry, account, owner string) string {
	known := map[string]bool{account: true, owner: true, system: true, administrators: true,
		ownerRights: true}
	for _, e := range list {
		switch {
		case e.denies:
		case e.sid == "":
			return "an entry of unknown kind"
		case !known[e.sid]:
			return e.sid
		}
	}
	return ""
}

// otherOwner returns owner unless it is an expected one, and else "". Expected are this account,
// the folder's owner, SYSTEM, Administrators, and a SID in the folder's list: a service may run
// under an account that an admin has admitted. Groups own no pipes.
func otherOwner(owner, account, folderOwner string, list []entry) string {
	for _, e := range list {
		if e.sid == owner && !e.denies {
			return ""
		}
	}
	return stranger([]entry{{sid: owner}}, account, folderOwner)
}
