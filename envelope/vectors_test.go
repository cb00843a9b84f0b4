package envelope

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/secretfile"
)

// makeVectors adds missing test vectors. Existing ones, made by this code once, are never written
// again.
var makeVectors = flag.Bool("make-vectors", false, "make the test vectors that are missing")

const vectorDir = "testdata/vectors"

var vectorTime = time.Date(2025, 10, 8, 12, 0, 0, 0, time.UTC)

// vectorKey derives 32 bytes from a sentence in FORMAT.md. Keys of vectors are no secret: any
// reader can open the vectors, and no private key is in the repository.
func vectorKey(owner string) []byte {
	sum := sha256.Sum256([]byte("sealpost test vectors, not a secret: " + owner))
	return sum[:]
}

// newVectorWorld is a network with the vectors' root and encryption keys. Its signing keys are made
// anew: a signature that is checked needs only the root.
func newVectorWorld(t testing.TB, suite string) *world {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), vectorKey("root"))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	mkdir(t, filepath.Join(dir, "root"))
	if err := secretfile.Create(filepath.Join(dir, "root", "root.key"),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		t.Fatal(err)
	}
	w := newWorldAt(t, dir, suite, vectorTime)
	w.secret = func(owner id.Site) string {
		prefix := "age-secret-key-"
		if suite == SuiteHybrid {
			prefix = "age-secret-key-pq-"
		}
		return strings.ToUpper(bech32(prefix, vectorKey(suite+" "+string(owner))))
	}
	return w
}

// vector is an envelope that was sealed once, and its expected result.
type vector struct {
	Name     string          `json:"name"`
	Suite    string          `json:"suite"`
	Opens    bool            `json:"opens"`
	Step     int             `json:"step,omitempty"` // that refuses it
	Code     string          `json:"code,omitempty"`
	Site     id.Site         `json:"site"`              // the recipient that opens it
	Segment  int64           `json:"segment,omitempty"` // its size, if it is not the format's
	Entries  int             `json:"entries,omitempty"` // their limit, if it is not the format's
	Network  id.Hash         `json:"network"`
	Record   vectorRecord    `json:"record"`
	Sender   id.Hash         `json:"sender_key,omitempty"`
	Head     id.Hash         `json:"head,omitempty"` // as it is signed
	Body     id.Hash         `json:"body,omitempty"`
	Messages []vectorMessage `json:"messages,omitempty"`
}

// vectorRecord is the hub's record.
type vectorRecord struct {
	Envelope id.Envelope `json:"envelope_id"`
	Sender   id.Site     `json:"sender_id"`
	id.Address
	Messages []vectorID `json:"messages"`
	Size     int64      `json:"size"`
	CRC32C   []uint32   `json:"crc32c"`
	At       time.Time  `json:"spooled_time"`
}

type vectorID struct {
	ID  id.Message `json:"message_id"`
	UID id.UID     `json:"uid"`
}

type vectorMessage struct {
	Digest         id.Hash        `json:"digest"`
	FingerprintKey FingerprintKey `json:"fingerprint_key"`
	Fingerprint    id.Hash        `json:"fingerprint"`
	Entries        []string       `json:"entries"` // without the NUL at the end of each
}

func (v vector) expect() Expect {
	want := Expect{Envelope: v.Record.Envelope, Sender: v.Record.Sender, Address: v.Record.Address,
		Size: v.Record.Size, CRC32C: v.Record.CRC32C, At: v.Record.At}
	for _, m := range v.Record.Messages {
		want.Messages = append(want.Messages, ExpectMessage(m))
	}
	return want
}

func record(want Expect) vectorRecord {
	r := vectorRecord{Envelope: want.Envelope, Sender: want.Sender, Address: want.Address,
		Size: want.Size, CRC32C: want.CRC32C, At: want.At}
	for _, m := range want.Messages {
		r.Messages = append(r.Messages, vectorID(m))
	}
	return r
}

// goodVectors returns the requests of the good vectors. All but the file key and the signature is
// fixed.
func goodVectors() map[string]SealRequest {
	entry := func(path, content string, executable bool) Entry {
		e := memory(path, content)
		e.Executable = executable
		return e
	}
	long := "set/" + strings.Repeat("long-", 30) + "name"
	requests := map[string][]Message{
		"file": {message(1, "data.csv", TypeFile,
			entry("data.csv", "time,value\n1,2\n", false))},
		"empty": {message(2, "empty", TypeFile, entry("empty", "", true))},
		"odd-name": {message(3, `"quoted" 'n\ame' 😀 <&>.csv`, TypeFile,
			entry(`"quoted" 'n\ame' 😀 <&>.csv`, "x", false))},
		"several": {message(4, "a", TypeFile, entry("a", "aaa", false)),
			message(5, "b", TypeFile, entry("b", "", false)),
			message(6, "a", TypeFile, entry("a", "again", false))},
		"folder": {message(7, "set", TypeFolder, folder("set"), folder("set/a"),
			entry("set/a-b", "between", false), entry("set/a/x", "x", true), folder("set/empty"),
			folder(long), entry(long+"/é", "é", false))},
		"deep":     {message(11, "set", TypeFolder, levels(MaxDepth)...)},
		"to-sites": {message(8, "data.csv", TypeFile, entry("data.csv", "x", false))},
		"two-chunks": {message(9, "data.bin", TypeFile,
			entry("data.bin", strings.Repeat("0123456789abcdef", 5000), false))},
		"segments": {message(10, "numbers", TypeFile, entry("numbers", numbers, false))},
	}
	all := map[string]SealRequest{}
	for name, messages := range requests {
		for i := range messages {
			m := &messages[i]
			m.UID = id.UID(fmt.Sprintf("%x", vectorKey(string("uid "+m.ID)))[:32])
			copy(m.FingerprintKey[:], vectorKey(string("fingerprint key "+m.ID)))
		}
		req := SealRequest{Envelope: id.Envelope(fmt.Sprintf("%x",
			vectorKey("envelope "+name))[:32]), Sender: "FL-LAB",
			Address: id.Address{RoutingKey: "fl-lab.dat"}, Messages: messages}
		switch name {
		case "segments":
			req.segment = smallSegment
		case "to-sites":
			req.Address = id.Address{To: []id.Site{"CA-RC", "SF-RC"}}
		}
		all[name] = req
	}
	return all
}

// levels returns folders inside one another, as many as a path may have components.
func levels(n int) (entries []Entry) {
	for path := "set"; len(entries) < n; path += "/x" {
		entries = append(entries, folder(path))
	}
	return entries
}

func (w *world) complete(t testing.TB, req SealRequest) SealRequest {
	req.Network = w.network
	for _, name := range []id.Site{"CA-RC", "SF-RC"} {
		req.Recipients = append(req.Recipients, w.site(t, name).recipient())
	}
	return req
}

func TestVectorsOpen(t *testing.T) {
	for _, suite := range []string{SuiteHybrid, SuiteX25519} {
		w := newVectorWorld(t, suite)
		for name, req := range goodVectors() {
			t.Run(suite+"-"+name, func(t *testing.T) {
				req := w.complete(t, req)
				base := filepath.Join(vectorDir, suite+"-"+name)
				if *makeVectors {
					makeGood(t, w, base, req)
				}
				openGood(t, w, base, req)
			})
		}
	}
}

// openGood opens a vector and seals its content again. All but the file key and the signature must
// be equal.
func openGood(t *testing.T, w *world, base string, req SealRequest) {
	v := readVector(t, base+".json")
	o := w.opener(t, v.Site)
	o.segment = v.Segment
	if v.Network != o.Network {
		t.Fatalf("network %s, want %s", o.Network, v.Network)
	}
	got := newTray()
	opened, err := o.Open(bytes.NewReader(readFile(t, base+".age")), v.expect(), got)
	if err != nil {
		t.Fatal(err)
	}
	if opened.SenderKey != v.Sender {
		t.Errorf("sender's key %s, want %s", opened.SenderKey, v.Sender)
	}
	for i, m := range opened.Messages {
		if m.Digest != v.Messages[i].Digest || m.Fingerprint != v.Messages[i].Fingerprint {
			t.Errorf("message %d: got %+v, want %+v", i, m, v.Messages[i])
		}
	}
	ciphertext, _, sealed := w.seal(t, req)
	compareOpened(t, req.Messages, sealed, opened, got)
	archive := beforeSignature(t, decryptSegments(t, w.site(t, v.Site), ciphertext, v.Segment))
	if !bytes.Equal(archive, readFile(t, base+".tar")) {
		t.Error("the archive is not the one that was sealed for the vector")
	}
	resealed := describe(t, w, req, archive, sealed)
	if resealed.Head != v.Head || resealed.Body != v.Body ||
		!slices.EqualFunc(resealed.Messages, v.Messages, func(a, b vectorMessage) bool {
			return slices.Equal(a.Entries, b.Entries)
		}) {
		t.Errorf("got %+v, want %+v", resealed, v)
	}
}

// beforeSignature is the part of an archive that is the same whenever the same is sealed.
func beforeSignature(t testing.TB, plain []byte) []byte {
	t.Helper()
	i := bytes.LastIndex(plain, []byte(signaturePath+"\x00"))
	if i < 0 || i%blockSize != 0 {
		t.Fatal("no signature")
	}
	return plain[:i]
}

// describe returns the expected vector of a request, from the entries and the archive.
func describe(t testing.TB, w *world, req SealRequest, archive []byte, sealed Sealed) vector {
	t.Helper()
	var r tarReader
	r.reset(bytes.NewReader(archive), int64(len(archive)))
	if _, err := r.next(); err != nil {
		t.Fatal(err)
	}
	head, err := io.ReadAll(&r)
	if err != nil {
		t.Fatal(err)
	}
	v := vector{Suite: w.suite, Opens: true, Site: "CA-RC", Network: w.network, Head: hashOf(head)}
	body := sha256.New()
	for i, m := range req.Messages {
		var lines []string
		digest := sha256.New()
		for e := range m.Entries {
			var content []byte
			if !e.Dir {
				r, _ := e.Open()
				content, _ = io.ReadAll(r)
			}
			line := AppendEntry(nil, e.Path, e.Dir, e.Executable, e.ModTime, e.Size,
				sha256.Sum256(content))
			digest.Write(line)
			lines = append(lines, string(line[:len(line)-1]))
		}
		d := sumHash(digest)
		body.Write(digest.Sum(nil))
		if d != sealed.Digests[i] {
			t.Fatalf("digest %s, sealed as %s", d, sealed.Digests[i])
		}
		v.Messages = append(v.Messages, vectorMessage{Digest: d, FingerprintKey: m.FingerprintKey,
			Fingerprint: Fingerprint(m.FingerprintKey, d), Entries: lines})
	}
	v.Body = sumHash(body)
	return v
}

func makeGood(t *testing.T, w *world, base string, req SealRequest) {
	if _, err := os.Stat(base + ".json"); err == nil {
		return
	}
	ciphertext, want, sealed := w.seal(t, req)
	archive := beforeSignature(t, decryptSegments(t, w.site(t, "CA-RC"), ciphertext, req.segment))
	v := describe(t, w, req, archive, sealed)
	v.Segment = req.segment
	v.Name, v.Record, v.Sender = filepath.Base(base), record(want),
		w.site(t, "FL-LAB").identity.Key()
	writeFile(t, base+".age", ciphertext)
	writeFile(t, base+".tar", archive)
	writeVector(t, base+".json", v)
}

// maxVector keeps hostile vectors out of the repository that are large by nature. They are made in
// every test anyhow.
const maxVector = 16 << 10

func TestVectorsAreRefused(t *testing.T) {
	w := newVectorWorld(t, SuiteX25519)
	for _, h := range hostiles() {
		t.Run(h.name, func(t *testing.T) {
			base := filepath.Join(vectorDir, "hostile", fmt.Sprintf("%d-%s", h.step, slug(h.name)))
			if *makeVectors {
				makeHostile(t, w, base, h)
			}
			if _, err := os.Stat(base + ".json"); errors.Is(err, os.ErrNotExist) {
				f := forge(t, w)
				h.bend(t, f)
				if ciphertext, _ := f.seal(t); len(ciphertext) <= maxVector {
					t.Fatal("there is no vector: run the test with -make-vectors")
				}
				t.Skip("too large for a vector")
			}
			v := readVector(t, base+".json")
			o := w.opener(t, "CA-RC")
			o.segment, o.entries = v.Segment, v.Entries
			_, err := o.Open(bytes.NewReader(readFile(t, base+".age")), v.expect(), newTray())
			refusedWith(t, err, v.Code)
			if v.Code != h.code || v.Step != h.step {
				t.Errorf("the vector says %d, %s, and the test %d, %s", v.Step, v.Code, h.step,
					h.code)
			}
		})
	}
}

func makeHostile(t *testing.T, w *world, base string, h hostile) {
	if _, err := os.Stat(base + ".json"); err == nil {
		return
	}
	f := forge(t, w)
	h.bend(t, f)
	ciphertext, want := f.seal(t)
	if len(ciphertext) > maxVector {
		return
	}
	writeFile(t, base+".age", ciphertext)
	writeVector(t, base+".json", vector{Name: h.name, Suite: w.suite, Step: h.step, Code: h.code,
		Site: "CA-RC", Segment: int64(f.segment), Entries: f.entries, Network: w.network,
		Record: record(want)})
}

var noSlug = regexp.MustCompile(`[^a-z0-9]+`)

func slug(name string) string { return noSlug.ReplaceAllString(strings.ToLower(name), "-") }

func readVector(t testing.TB, path string) vector {
	t.Helper()
	var v vector
	if err := json.Unmarshal(readFile(t, path), &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeVector(t testing.TB, path string, v vector) {
	t.Helper()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, out.Bytes())
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	mkdir(t, filepath.Dir(path))
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// bech32 encodes data as BIP 173 does, without its limit on the length.
func bech32(prefix string, data []byte) string {
	const alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	var values []byte
	for _, c := range []byte(prefix) {
		values = append(values, c>>5)
	}
	values = append(values, 0)
	for _, c := range []byte(prefix) {
		values = append(values, c&31)
	}
	start := len(values)
	acc, bits := 0, 0
	for _, b := range data {
		acc, bits = acc<<8|int(b), bits+8
		for ; bits >= 5; bits -= 5 {
			values = append(values, byte(acc>>(bits-5)&31))
		}
		acc &= 1<<bits - 1
	}
	if bits > 0 {
		values = append(values, byte(acc<<(5-bits)&31))
	}
	sum := polymod(append(slices.Clone(values), 0, 0, 0, 0, 0, 0)) ^ 1
	for i := range 6 {
		values = append(values, byte(sum>>(5*(5-i))&31))
	}
	out := prefix + "1"
	for _, v := range values[start:] {
		out += string(alphabet[v])
	}
	return out
}

func polymod(values []byte) int {
	sum := 1
	for _, v := range values {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ int(v)
		for i, g := range []int{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	return sum
}
