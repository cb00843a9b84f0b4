// Package access makes and judges Windows access lists: who may use a file, a folder or a pipe of ours.
//
// It promises that what it makes is for one account, SYSTEM and Administrators alone, whatever the folder hands down. The
// texts and the judgement are the same on every system, so that they can be tested anywhere; what asks Windows stands in
// access_windows.go.
package access

import "fmt"

// Those who are let in besides the account itself.
const (
	system         = "S-1-5-18"
	administrators = "S-1-5-32-544"
	ownerRights    = "S-1-3-4" // whoever owns the file
)

// descriptor is a protected access list in Windows's own words (SDDL): full access for the account, which also becomes the
// owner, SYSTEM and Administrators. A folder's list goes on to what is made in it.
func descriptor(sid string, folder bool) string {
	inherit := ""
	if folder {
		inherit = "OICI"
	}
	return fmt.Sprintf("O:%[1]sD:P(A;%[2]s;FA;;;%[1]s)(A;%[2]s;FA;;;SY)(A;%[2]s;FA;;;BA)", sid, inherit)
}

// entry is one line of an access list.
type entry struct {
	denies bool
	sid    string // empty: of a kind that we do not know
}

// stranger returns the first who is let in and is neither this account, nor the owner, SYSTEM or Administrators; empty when
// there is none.
func stranger(list []entry, account, owner string) string {
	known := map[string]bool{account: true, owner: true, system: true, administrators: true, ownerRights: true}
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

// otherOwner returns owner, unless it is this account, the folder's owner, SYSTEM, Administrators, or let in by an entry of
// the folder's list by its own SID: a service may run under an account that an admin has let in. Groups own no pipes.
func otherOwner(owner, account, folderOwner string, list []entry) string {
	for _, e := range list {
		if e.sid == owner && !e.denies {
			return ""
		}
	}
	return stranger([]entry{{sid: owner}}, account, folderOwner)
}
