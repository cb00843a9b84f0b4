package envelope

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"strconv"
	"testing"

	"filippo.io/age"

	"sealpost/certs"
	"sealpost/internal/id"
	"sealpost/internal/strictjson"
	"sealpost/statement"
)

// forgery is an envelope that a test can change at any step of its making. It shares with Seal only
// the spelling of headers and entries, as a forger could. Unchanged, forge returns an honest
// envelope.
type forgery struct {
	w      *world
	from   *site // signs
	to     []age.Recipient
	head   Head
	pieces []piece // the content
	want   Expect

	rawHead    []byte                          // instead of head
	jws        func(head, body id.Hash) string // instead of from's signature
	bendPieces func(all []piece) []piece       // after signing: message.json, content, signature
	tail       []byte                          // instead of the zeros
	bendPlain  func(plain []byte) []byte       // the whole archive
	bendFile   func(ciphertext []byte) []byte  // the whole envelope

	segment      int // ciphertext of a segment; 0: one segment
	entries      int // the limit of the opener; 0: the format's
	bendSegments func(all [][]byte) [][]byte
}

// piece is a member with its body.
type piece struct {
	member
	body   string
	header []byte // instead of the member's only header
	pad    []byte // instead of zeros; nil: zeros
}

func (p piece) bytes() []byte {
	b := p.header
	if b == nil {
		b = appendHeader(nil, p.member)
	}
	b = append(slices.Clip(b), p.body...)
	if p.pad != nil {
		return append(b, p.pad...)
	}
	return append(b, zeros[:padding(int64(len(p.body)))]...)
}

func content(n int, path, body string) piece {
	return piece{member: member{path: contentPrefix + strconv.Itoa(n) + "/" + path,
		size: int64(len(body)), mtime: 1759924800}, body: body}
}

func contentDir(n int, path string) piece {
	return piece{member: member{path: contentPrefix + strconv.Itoa(n) + "/" + path, dir: true,
		mtime: 1759924800}}
}

// forge returns the forgery of an envelope by FL-LAB for CA-RC and SF-RC with one file, data.csv.
func forge(t testing.TB, w *world) *forgery {
	t.Helper()
	return forgeOf(t, w, []piece{content(0, "data.csv", "a,b\n1,2\n")}, file(1, "data.csv", ""))
}

func forgeOf(t testing.TB, w *world, pieces []piece, messages ...Message) *forgery {
	t.Helper()
	req := w.request(t, messages, "CA-RC", "SF-RC")
	f := &forgery{w: w, from: w.site(t, "FL-LAB"), pieces: pieces, want: w.announce(req, nil),
		tail: zeros[:]}
	keys, recipients, err := wrapFor(req.Recipients)
	if err != nil {
		t.Fatal(err)
	}
	f.to, f.head = keys, req.head(recipients)
	return f
}

// also names another recipient in the head and seals for it.
func (f *forgery) also(t testing.TB, name id.Site) {
	r, err := f.w.site(t, name).recipient().Prepare()
	if err != nil {
		t.Fatal(err)
	}
	f.to = append(f.to, r.parsed)
	f.head.Recipients = append(f.head.Recipients,
		HeadRecipient{Site: name, Key: statement.RecipientKeyHash(r.Key)})
}

func (f *forgery) plain(t testing.TB) []byte {
	t.Helper()
	head := f.rawHead
	if head == nil {
		var err error
		if head, err = strictjson.Marshal(f.head); err != nil {
			t.Fatal(err)
		}
	}
	body := f.body()
	jws := f.jws
	if jws == nil {
		jws = signedBy(t, f.from.identity)
	}
	all := []piece{{member: member{path: headPath, size: int64(len(head))}, body: string(head)}}
	all = append(all, f.pieces...)
	signature := jws(hashOf(head), body)
	all = append(all, piece{member: member{path: signaturePath, size: int64(len(signature))},
		body: signature})
	if f.bendPieces != nil {
		all = f.bendPieces(all)
	}
	var plain []byte
	for _, p := range all {
		plain = append(plain, p.bytes()...)
	}
	plain = append(plain, f.tail...)
	if f.bendPlain != nil {
		plain = f.bendPlain(plain)
	}
	return plain
}

// body hashes the pieces message by message, as their paths say.
func (f *forgery) body() id.Hash {
	whole := sha256.New()
	for n := range f.head.Messages {
		digest := sha256.New()
		for _, p := range f.pieces {
			path, ok := bytes.CutPrefix([]byte(p.path), []byte(contentPrefix+strconv.Itoa(n)+"/"))
			if ok {
				digest.Write(appendEntry(nil, string(path), p.member,
					sha256.Sum256([]byte(p.body))))
			}
		}
		whole.Write(digest.Sum(nil))
	}
	return id.Hash(hex.EncodeToString(whole.Sum(nil)))
}

func signedBy(t testing.TB, i *certs.Identity) func(head, body id.Hash) string {
	return func(head, body id.Hash) string {
		jws, err := statement.Sign(i, statement.EnvelopeSignature{V: 1, Head: head, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		return jws
	}
}

// seal returns the ciphertext and the hub's record of exactly these bytes: they arrive whole and
// right.
func (f *forgery) seal(t testing.TB) ([]byte, Expect) {
	t.Helper()
	all := f.cut(t, f.plain(t))
	if f.bendSegments != nil {
		all = f.bendSegments(all)
	}
	ciphertext := bytes.Join(all, nil)
	if f.bendFile != nil {
		ciphertext = f.bendFile(ciphertext)
	}
	want := f.want
	want.Size, want.CRC32C = int64(len(ciphertext)), checksums(ciphertext)
	return ciphertext, want
}

// cut encrypts a plaintext in segments. It knows the space of a segment from the size of an empty
// one.
func (f *forgery) cut(t testing.TB, plain []byte) [][]byte {
	t.Helper()
	if f.segment == 0 {
		return [][]byte{encrypt(t, plain, f.to...)}
	}
	var all [][]byte
	space := f.segment - len(encrypt(t, nil, f.to...)) // below one chunk
	for piece := range slices.Chunk(plain, space) {
		all = append(all, encrypt(t, piece, f.to...))
	}
	return all
}

func encrypt(t testing.TB, plain []byte, to ...age.Recipient) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, bytes.NewReader(plain)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// stanzas is an age.Recipient that puts any stanzas into a header.
type stanzas []*age.Stanza

func (s stanzas) Wrap([]byte) ([]*age.Stanza, error) { return s, nil }

// unlabelled hides a recipient's labels, with which age keeps suites apart.
type unlabelled struct{ age.Recipient }
