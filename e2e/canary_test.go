//go:build linux

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// canary looks for secrets of the sites in data of the hub. Secrets are content, file names,
// digests of content and private keys: raw, in hexadecimal, and in base64 at every alignment.
type canary struct {
	needles map[uint64][]needle // by their first eight bytes
	filter  []uint64            // which eight bytes may begin one: a bit for each hash
}

type needle struct {
	label string
	text  []byte
}

const filterBits = 22

func newCanary() *canary {
	return &canary{needles: map[uint64][]needle{}, filter: make([]uint64, 1<<(filterBits-6))}
}

func filterHash(v uint64) uint64 { return v * 0x9e3779b97f4a7c15 >> (64 - filterBits) }

// add looks for the secret in all its forms. One shorter than eight bytes could be found by chance.
func (c *canary) add(label string, secret []byte) {
	if len(secret) < 8 {
		return
	}
	c.addForm(label, secret)
	c.addForm(label+" in hexadecimal", []byte(hex.EncodeToString(secret)))
	c.addForm(label+" in hexadecimal", []byte(strings.ToUpper(hex.EncodeToString(secret))))
	for shift := range 3 {
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			padded := append(make([]byte, shift), secret...)
			text := e.EncodeToString(padded)
			// Only the characters of the secret alone: its neighbours share those at both ends.
			c.addForm(label+" in base64", []byte(text[(shift*8+5)/6:len(padded)*8/6]))
		}
	}
}

func (c *canary) addName(name string) {
	label := fmt.Sprintf("the name %q", name)
	c.add(label, []byte(name))
	quoted, err := json.Marshal(name)
	if err != nil || len(name) < 8 {
		return
	}
	for _, form := range []string{strings.Trim(strconv.Quote(name), `"`),
		strings.Trim(strconv.QuoteToASCII(name), `"`), string(quoted[1 : len(quoted)-1]),
		url.PathEscape(name), url.QueryEscape(name)} {
		c.addForm(label, []byte(form))
	}
}

func (c *canary) addForm(label string, text []byte) {
	v := binary.LittleEndian.Uint64(text)
	for _, n := range c.needles[v] {
		if bytes.Equal(n.text, text) {
			return
		}
	}
	c.needles[v] = append(c.needles[v], needle{label, text})
	h := filterHash(v)
	c.filter[h>>6] |= 1 << (h & 63)
}

var zeros = make([]byte, 4096)

// find returns the labels of the secrets in the data, each once. The race detector would look at
// each byte of a hub, in every story.
//
//go:norace
func (c *canary) find(data []byte) (list []string) {
	seen := map[string]bool{}
	if len(data) < 8 {
		return nil
	}
	v := binary.LittleEndian.Uint64(data)
	for i := 0; ; i++ {
		if v == 0 && i+len(zeros)+8 < len(data) && bytes.Equal(data[i:i+len(zeros)], zeros) {
			i += len(zeros) - 8 // most of a hub's data is empty
			v = 0
		}
		if h := filterHash(v); c.filter[h>>6]&(1<<(h&63)) != 0 {
			for _, n := range c.needles[v] {
				if !seen[n.label] && bytes.HasPrefix(data[i:], n.text) {
					seen[n.label] = true
					list = append(list, n.label)
				}
			}
		}
		if i+8 >= len(data) {
			return list
		}
		v = v>>8 | uint64(data[i+8])<<56
	}
}

// canaryOf looks for everything that the story's sites have kept from the hub.
func (w *world) canaryOf() *canary {
	w.t.Helper()
	c := newCanary()
	for _, d := range w.drops {
		c.addName(d.name)
		for _, p := range d.parts {
			if !p.dir {
				c.add("the SHA-256 of "+p.path, p.sum[:])
			}
		}
		if !d.folder {
			c.add("the SHA-256 of "+d.String(), d.sum[:])
		}
		c.add("the digest of "+d.String(), d.digest())
		for _, m := range d.marks {
			c.add("content of "+d.String(), m)
		}
	}
	for _, s := range w.sites {
		s.addKeys(c)
	}
	return c
}

func (s *site) addKeys(c *canary) {
	s.t.Helper()
	text, err := os.ReadFile(s.at("state", "identity.key"))
	must(s.t, err)
	block, _ := pem.Decode(text)
	c.add("the identity key of "+s.name, block.Bytes)
	// as it lies in the file; the public key begins on the third
	for _, line := range strings.Split(string(text), "\n")[1:3] {
		c.addForm("the identity key of "+s.name, []byte(line))
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(s.t, err)
	scalar, err := key.(*ecdsa.PrivateKey).Bytes()
	must(s.t, err)
	c.add("the identity key of "+s.name, scalar)
	ages, err := os.ReadFile(s.at("state", "recipient.key"))
	if s.role == "send" && os.IsNotExist(err) {
		return
	}
	must(s.t, err)
	found := false
	for line := range strings.Lines(string(ages)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "AGE-SECRET-KEY-") {
			found = true
			c.add("the recipient key of "+s.name, []byte(line))
			c.addForm("the recipient key of "+s.name, []byte(strings.ToLower(line)))
		}
	}
	if !found {
		s.t.Fatalf("%s has no secret key in recipient.key", s.name)
	}
}

// checkCanary searches the hub's folder, file names included, and its log.
func (a *audit) checkCanary() {
	a.w.t.Helper()
	c := a.w.canaryOf()
	for _, base := range []string{a.w.hub.dir, a.w.hub.File} {
		a.search(c, base)
	}
}

func (a *audit) search(c *canary, base string) {
	err := filepath.WalkDir(base, func(path string, e fs.DirEntry, err error) error {
		if path != base && errors.Is(err, fs.ErrNotExist) {
			return nil // a hub that runs has removed it meanwhile
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(a.w.dir, path)
		if err != nil {
			return err
		}
		for _, label := range c.find([]byte(rel)) {
			a.problem("the hub has %s as the name of %s", label, rel)
		}
		if !e.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if path != base && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, label := range c.find(data) {
			a.problem("the hub has %s in %s", label, rel)
		}
		return err
	})
	if err != nil {
		a.problem("search %s: %v", base, err)
	}
}
