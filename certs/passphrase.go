package certs

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/pem"
	"path/filepath"
	"unicode/utf8"

	"github.com/youmark/pkcs8"

	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
)

// Passphrases gives the passphrases of key files. The zero value has none: it opens only keys that
// are not encrypted, and leaves new ones so.
type Passphrases struct {
	// Of returns the passphrase of the encrypted key at path.
	Of func(path string) ([]byte, error)
	// New returns the passphrase of a key that is to be written to path. An empty one leaves the
	// key as it is, not encrypted.
	New func(path string) ([]byte, error)
}

// Errors of encrypted keys. Only another passphrase helps.
var (
	ErrEncrypted  = reason.Err("key-encrypted")
	ErrPassphrase = reason.Err("passphrase-wrong")
	// ErrPassphraseFile is no fs.ErrNotExist, which would mean that the key is missing.
	ErrPassphraseFile = reason.Err("passphrase-unread")
)

// LeastPassphrase is the least length of a new passphrase, in characters. A thief of the file tries
// passphrases without limit.
const LeastPassphrase = 12

// encryptedKind is the type of the PEM block of an encrypted key. It is PKCS #8 with PBES2
// (RFC 5958, RFC 8018), and openssl pkey opens it.
const encryptedKind = "ENCRYPTED PRIVATE KEY"

// encryption is AES-256-CBC under scrypt. OpenSSL gives scrypt 32 MiB unless told otherwise, and so
// N stays at 2^14 (16 MiB), and p makes up for it.
var encryption = &pkcs8.Opts{Cipher: pkcs8.AES256CBC, KDFOpts: pkcs8.ScryptOpts{SaltSize: 16,
	CostParameter: 1 << 14, BlockSize: 8, ParallelizationParameter: 5}}

// decrypt returns the key in an encrypted file.
func (p Passphrases) decrypt(path string, data []byte) (any, error) {
	der, err := onePEM(data, encryptedKind)
	if err != nil {
		return nil, reason.Err("key-file", "path", path, "why", err)
	}
	if p.Of == nil {
		return nil, reason.Err("key-file", "path", path, "why", ErrEncrypted)
	}
	passphrase, err := p.Of(path)
	if err != nil {
		return nil, reason.Err("key-file", "path", path, "why", err)
	}
	if len(passphrase) == 0 { // for pkcs8 it means a key that is not encrypted
		return nil, reason.Err("key-file", "path", path, "why", ErrPassphrase)
	}
	key, err := open(der, passphrase)
	if err != nil { // a wrong passphrase and a damaged file look the same
		return nil, reason.Err("key-file", "path", path, "why", ErrPassphrase)
	}
	return key, nil
}

// open decrypts a key. The library panics on a block of a wrong length.
func open(der, passphrase []byte) (key any, err error) {
	defer func() {
		if recover() != nil {
			err = ErrPassphrase
		}
	}()
	key, _, err = pkcs8.ParsePrivateKey(der, passphrase)
	return key, err
}

// encode returns the PEM of a key for path, encrypted if New has a passphrase for it.
func (p Passphrases) encode(path string, key *ecdsa.PrivateKey) ([]byte, error) {
	var passphrase []byte
	if p.New != nil {
		var err error
		if passphrase, err = p.New(path); err != nil {
			return nil, err
		}
	}
	kind := encryptedKind
	if len(passphrase) == 0 {
		kind = "PRIVATE KEY"
	} else if err := CheckPassphrase(passphrase); err != nil {
		return nil, err
	}
	der, err := pkcs8.MarshalPrivateKey(key, passphrase, encryption)
	if err != nil {
		return nil, reason.Err("key-file", "path", path, "why", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), nil
}

// Rewrite writes the key file of a root or of an issuing authority under the passphrase of New.
// Without New the file is not encrypted. It takes the place of the old one in one step: after a
// crash there is one of them. The blocks of the old one stay on the disk until they are used again.
func (p Passphrases) Rewrite(path string) error {
	if name := filepath.Base(path); name != rootKeyFile && name != issuingKeyFile {
		return reason.Err("key-not-encryptable", "path", path, "root", rootKeyFile, "issuing",
			issuingKeyFile)
	}
	key, err := p.readKey(path)
	if err != nil {
		return err
	}
	data, err := p.encode(path, key)
	if err != nil {
		return err
	}
	return secretfile.Write(path, data)
}

// IsEncrypted reports whether the key file at path is encrypted.
func IsEncrypted(path string) (bool, error) {
	data, err := secretfile.Read(path, maxKeyFile)
	return isEncrypted(data), err
}

func isEncrypted(data []byte) bool {
	return bytes.HasPrefix(data, []byte("-----BEGIN "+encryptedKind+"-----"))
}

// maxPassphrase is the greatest length of a passphrase, in bytes.
const maxPassphrase = 1024

// CheckPassphrase returns an error for a new passphrase that is too short.
func CheckPassphrase(text []byte) error {
	if utf8.RuneCount(text) < LeastPassphrase {
		return reason.Err("passphrase-short", "least", LeastPassphrase)
	}
	return nil
}

// ReadPassphrase returns the passphrase in a private file, or ErrPassphraseFile.
func ReadPassphrase(path string) ([]byte, error) {
	text, err := secretfile.Read(path, maxPassphrase)
	if err != nil {
		return nil, reason.Err("passphrase-file", "cause", ErrPassphraseFile, "path", path,
			"why", reason.Of(err))
	}
	return OnlyLine(path, text)
}

// OnlyLine returns the passphrase in the text of a file. It refuses a second line: openssl takes
// the first one only.
func OnlyLine(path string, text []byte) ([]byte, error) {
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if len(text) == 0 {
		return nil, reason.Err("passphrase-empty", "cause", ErrPassphraseFile, "path", path)
	}
	if bytes.ContainsAny(text, "\n\r") {
		return nil, reason.Err("passphrase-lines", "cause", ErrPassphraseFile, "path", path)
	}
	return text, nil
}
