package secretfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"

	"sealpost/internal/durable"
)

// createTight makes the file together with its access list, so that it never inherits a looser one from its folder.
func createTight(path string) (*os.File, error) {
	attributes, err := ownerOnly("")
	if err != nil {
		return nil, err
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, 0, attributes, windows.CREATE_NEW, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &os.PathError{Op: "create", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// ownerOnly is a protected access list: full access for this user, who also becomes the owner, SYSTEM and Administrators.
// inherit is "OICI" for a folder whose content gets the same list.
func ownerOnly(inherit string) (*windows.SecurityAttributes, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("find out who runs this program: %w", err)
	}
	sid := user.User.Sid.String()
	descriptor, err := windows.SecurityDescriptorFromString(fmt.Sprintf("O:%[1]sD:P(A;%[2]s;FA;;;%[1]s)(A;%[2]s;FA;;;SY)(A;%[2]s;FA;;;BA)", sid, inherit))
	if err != nil {
		return nil, err
	}
	return &windows.SecurityAttributes{Length: uint32(unsafe.Sizeof(windows.SecurityAttributes{})), SecurityDescriptor: descriptor}, nil
}

func checkTight(f *os.File, _ fs.FileInfo) error {
	descriptor, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("read its access list: %w", err)
	}
	who, err := stranger(descriptor)
	if err != nil {
		return err
	}
	if who != "" {
		return fmt.Errorf("%w (its access list names %s): run \"icacls %s /inheritance:r /grant:r *%s:F\", and replace the secret if somebody may have read it",
			ErrLoose, who, f.Name(), currentUser())
	}
	return nil
}

// stranger returns the first in the access list who is neither this user, nor the owner, SYSTEM or Administrators.
func stranger(descriptor *windows.SECURITY_DESCRIPTOR) (string, error) {
	list, _, err := descriptor.DACL()
	if errors.Is(err, windows.ERROR_OBJECT_NOT_FOUND) || err == nil && list == nil {
		return "everybody", nil // a file without an access list is open to all
	}
	if err != nil {
		return "", fmt.Errorf("read its access list: %w", err)
	}
	owner, _, err := descriptor.Owner()
	if err != nil {
		return "", fmt.Errorf("read its owner: %w", err)
	}
	known := map[string]bool{owner.String(): true, currentUser(): true, "S-1-5-18": true, "S-1-5-32-544": true, "S-1-3-4": true}
	for i := range uint32(list.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(list, i, &ace); err != nil {
			return "", fmt.Errorf("read its access list: %w", err)
		}
		if ace.Header.AceType == windows.ACCESS_DENIED_ACE_TYPE {
			continue
		}
		if ace.Header.AceType != windows.ACCESS_ALLOWED_ACE_TYPE {
			return "an entry of unknown kind", nil
		}
		if sid := (*windows.SID)(unsafe.Pointer(&ace.SidStart)).String(); !known[sid] {
			return sid, nil
		}
	}
	return "", nil
}

func currentUser() string {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return ""
	}
	return user.User.Sid.String()
}

// MkdirAll makes dir, and what is missing above it, for its owner alone. A folder that is there stays as it is.
func MkdirAll(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := durable.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	attributes, err := ownerOnly("OICI")
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return err
	}
	if err := windows.CreateDirectory(name, attributes); err != nil && !errors.Is(err, fs.ErrExist) {
		return &os.PathError{Op: "make folder", Path: dir, Err: err}
	}
	return durable.SyncDir(parent)
}
