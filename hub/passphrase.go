package hub

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/internal/reason"
)

// Credential is the name of the service manager's credential with the passphrase of the issuing
// key: LoadCredential=sealpost-issuing:FILE.
const Credential = "sealpost-issuing"

// Passphrases returns those of a hub's keys. That of the issuing key comes from passphrase_file,
// from the credential, or else from ask; all others come from ask.
func Passphrases(c config.Hub, ask certs.Passphrases) certs.Passphrases {
	return certs.Passphrases{New: ask.New, Of: func(path string) ([]byte, error) {
		isIssuing := filepath.Base(path) == issuingKeyFile
		if isIssuing && c.PassphraseFile != "" {
			return certs.ReadPassphrase(c.PassphraseFile)
		}
		if isIssuing {
			if text, err := credential(); !errors.Is(err, fs.ErrNotExist) {
				return text, err
			}
		}
		if ask.Of != nil {
			text, err := ask.Of(path)
			if !isIssuing || !errors.Is(err, certs.ErrEncrypted) {
				return text, err
			}
		}
		return nil, reason.Err("passphrase-nowhere", "cause", certs.ErrEncrypted,
			"credential", Credential)
	}}
}

// credential returns the passphrase that the service manager gives, or fs.ErrNotExist. The manager
// guards the file with a mode or an access list of its own.
func credential() ([]byte, error) {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return nil, fs.ErrNotExist
	}
	path := filepath.Join(dir, Credential)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return certs.OnlyLine(path, text)
}

// Names of key files, and of the file in the state folder with the path of the root's folder.
const (
	rootKeyFile    = "root.key"
	issuingKeyFile = "issuing.key"
	rootFolderFile = "root.folder"
)

// RootKey is a root's key that lies on the hub's computer.
type RootKey struct {
	Folder    string `json:"folder"`
	Encrypted bool   `json:"encrypted"`
}

// Here returns the key as a reason.
func (k RootKey) Here() reason.Reason {
	if k.Encrypted {
		return reason.New("hub-root-here-encrypted", "folder", k.Folder)
	}
	return reason.New("hub-root-here", "folder", k.Folder)
}

// FindRootKey returns the root's key on this computer, or nil. It looks at the folder that init has
// used, and beside the hub's folder. An empty dir means the folder above the state folder. The key
// of a folder that is closed to this account counts as away.
func FindRootKey(state, dir string) *RootKey {
	if dir == "" {
		dir = filepath.Dir(state)
	}
	folders := []string{filepath.Clean(dir) + "-root"}
	if text, err := os.ReadFile(filepath.Join(state, rootFolderFile)); err == nil {
		folders = append(folders, strings.TrimSuffix(string(text), "\n"))
	}
	for _, folder := range folders {
		path := filepath.Join(folder, rootKeyFile)
		if !exists(path) {
			continue
		}
		isEncrypted, err := certs.IsEncrypted(path)
		return &RootKey{Folder: folder, Encrypted: err == nil && isEncrypted}
	}
	return nil
}
