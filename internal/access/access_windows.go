package access

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Private returns the attributes of a new file or pipe for this program's account only.
func Private() (*windows.SecurityAttributes, error) { return attributes("") }

// PrivateFolder returns the attributes of a new folder for this program's account only.
func PrivateFolder() (*windows.SecurityAttributes, error) { return attributes(inherited) }

func attributes(flags string) (*windows.SecurityAttributes, error) {
	sid, err := Account()
	if err != nil {
		return nil, err
	}
	d, err := windows.SecurityDescriptorFromString(descriptor(sid, flags))
	if err != nil {
		return nil, fmt.Errorf("make an access list: %w", err)
	}
	return &windows.SecurityAttributes{Length: uint32(unsafe.Sizeof(windows.SecurityAttributes{})),
		SecurityDescriptor: d}, nil
}

// Account returns the SID of this program's account.
func Account() (string, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return "", fmt.Errorf("look up this program's account: %w", err)
	}
	return user.User.Sid.String(), nil
}

// Stranger returns the SID of the first unexpected account in a file's access list, or "".
func Stranger(f *os.File) (string, error) {
	account, err := Account()
	if err != nil {
		return "", err
	}
	d, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT,
		windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return "", fmt.Errorf("read its access list: %w", err)
	}
	list, _, err := d.DACL()
	if errors.Is(err, windows.ERROR_OBJECT_NOT_FOUND) || err == nil && list == nil {
		return "everybody", nil // a file without an access list is open to all
	}
	if err != nil {
		return "", fmt.Errorf("read its access list: %w", err)
	}
	owner, _, err := d.Owner()
	if err != nil {
		return "", fmt.Errorf("read its owner: %w", err)
	}
	entries, err := read(list)
	return stranger(entries, account, owner.String()), err
}

// OtherOwner returns the owner of an open file or pipe, or "" if a daemon of folder may own it. A
// daemon may have this account, SYSTEM, Administrators, the folder's owner, or an account in its
// access list.
func OtherOwner(h windows.Handle, folder string) (string, error) {
	account, err := Account()
	if err != nil {
		return "", err
	}
	d, err := windows.GetSecurityInfo(h, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return "", fmt.Errorf("read the owner: %w", err)
	}
	owner, _, err := d.Owner()
	if err != nil {
		return "", fmt.Errorf("read the owner: %w", err)
	}
	of, err := windows.GetNamedSecurityInfo(folder, windows.SE_FILE_OBJECT,
		windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return "", fmt.Errorf("read the access list of %s: %w", folder, err)
	}
	folderOwner, _, err := of.Owner()
	if err != nil {
		return "", fmt.Errorf("read the owner of %s: %w", folder, err)
	}
	var entries []entry
	if list, _, err := of.DACL(); err == nil && list != nil {
		if entries, err = read(list); err != nil {
			return "", err
		}
	}
	return otherOwner(owner.String(), account, folderOwner.String(), entries), nil
}

func read(list *windows.ACL) ([]entry, error) {
	entries := make([]entry, list.AceCount)
	for i := range entries {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(list, uint32(i), &ace); err != nil {
			return nil, fmt.Errorf("read its access list: %w", err)
		}
		switch ace.Header.AceType {
		case windows.ACCESS_DENIED_ACE_TYPE:
			entries[i].denies = true
		case windows.ACCESS_ALLOWED_ACE_TYPE:
			entries[i].sid = (*windows.SID)(unsafe.Pointer(&ace.SidStart)).String()
		}
	}
	return entries, nil
}
