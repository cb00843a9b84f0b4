package envelope

import (
	"strings"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/statement"
)

// signedAs has the signature made in another way.
func signedAs(jws func(t testing.TB, f *forgery, head, body id.Hash) string) func(testing.TB,
	*forgery) {
	return func(t testing.TB, f *forgery) {
		f.jws = func(head, body id.Hash) string { return jws(t, f, head, body) }
	}
}

// changed swaps one character of the JWS part (0 header, 1 payload, 2 signature) at the given
// place.
func changed(part, at int) func(testing.TB, *forgery) {
	return signedAs(func(t testing.TB, f *forgery, head, body id.Hash) string {
		parts := strings.Split(signedBy(t, f.from.identity)(head, body), ".")
		b := []byte(parts[part])
		if b[at] == 'A' {
			b[at] = 'B'
		} else {
			b[at] = 'A'
		}
		parts[part] = string(b)
		return strings.Join(parts, ".")
	})
}

const badSignature = statement.CodeSignatureInvalid

var hostileSignatures = []hostile{
	{"the signature is empty", 6, badSignature,
		signedAs(func(testing.TB, *forgery, id.Hash, id.Hash) string {
			return ""
		})},
	{"the signature is no JWS", 6, badSignature,
		signedAs(func(testing.TB, *forgery, id.Hash, id.Hash) string {
			return "a.b.c"
		})},
	{"a changed JWS header", 6, badSignature, changed(0, 30)},
	{"a changed JWS payload", 6, badSignature, changed(1, 20)},
	{"a changed JWS signature", 6, badSignature, changed(2, 20)},
	{"a line's end behind the signature", 6, badSignature,
		signedAs(func(t testing.TB, f *forgery, head, body id.Hash) string {
			return signedBy(t, f.from.identity)(head, body) + "\n"
		})},
	{"a signature of more than 16 KiB", 6, statement.CodeTooLarge,
		signedAs(func(testing.TB, *forgery, id.Hash, id.Hash) string {
			return strings.Repeat("x", maxSignature+1)
		})},
	{"a statement of another type", 6, badSignature,
		signedAs(func(t testing.TB, f *forgery, _, _ id.Hash) string {
			jws, err := statement.Sign(f.from.identity, statement.RecipientKey{
				V: 1, Network: f.w.network, Site: f.from.name, Recipient: f.from.keys.Recipient(),
				Version: 1, Created: time.Now().UTC().Truncate(time.Second),
			})
			if err != nil {
				t.Fatal(err)
			}
			return jws
		})},
	{"signed under another network's root", 6, statement.CodeSignerUntrusted,
		signedAs(func(t testing.TB, f *forgery, head, body id.Hash) string {
			return signedBy(t, newWorld(t, SuiteX25519).site(t, "FL-LAB").identity)(head, body)
		})},
	{"signed by another site", 6, statement.CodeSignerMismatch,
		signedAs(func(t testing.TB, f *forgery, head, body id.Hash) string {
			return signedBy(t, f.w.site(t, "PA-LAB").identity)(head, body)
		})},
	{"signed by a recipient", 6, statement.CodeSignerMismatch,
		signedAs(func(t testing.TB, f *forgery, head, body id.Hash) string {
			return signedBy(t, f.w.site(t, "SF-RC").identity)(head, body)
		})},
	{"a signature over another head", 6, statement.CodeDigestMismatch,
		signedAs(func(t testing.TB, f *forgery, _, body id.Hash) string {
			return signedBy(t, f.from.identity)(someHash, body)
		})},
	{"a signature over other content", 6, statement.CodeDigestMismatch,
		signedAs(func(t testing.TB, f *forgery, head, _ id.Hash) string {
			return signedBy(t, f.from.identity)(head, someHash)
		})},
	{"a recipient added after signing", 6, statement.CodeDigestMismatch,
		func(t testing.TB, f *forgery) {
			honest := signedOver(t, f)
			f.also(t, "TX-RC")
			f.jws = honest
		}},
	{"the name changed after signing", 6, statement.CodeDigestMismatch,
		func(t testing.TB, f *forgery) {
			f.jws = signedOver(t, f)
			f.head.Messages[0].Content.Name = "evil.csv"
			f.pieces[0].path = "content/0/evil.csv"
		}},
	{"content changed after signing", 6, statement.CodeDigestMismatch, afterSigning(func(p *piece) {
		p.body = strings.ToUpper(p.body)
	})},
	{"content cut after signing", 6, statement.CodeDigestMismatch, afterSigning(func(p *piece) {
		p.body, p.size = p.body[:1], 1
	})},
	{"a mode changed after signing", 6, statement.CodeDigestMismatch, afterSigning(func(p *piece) {
		p.exec = true
	})},
	{"a time changed after signing", 6, statement.CodeDigestMismatch, afterSigning(func(p *piece) {
		p.mtime++
	})},
	{"contents swapped after signing", 6, statement.CodeDigestMismatch,
		func(t testing.TB, f *forgery) {
			twoFiles(func(p []piece) []piece { return p })(t, f)
			f.bendPieces = func(all []piece) []piece {
				all[1].body, all[2].body = all[2].body, all[1].body
				return all
			}
		}},
	{"an entry left out of a folder after signing", 6, statement.CodeDigestMismatch,
		func(t testing.TB, f *forgery) {
			aFolder(contentDir(0, "set"), content(0, "set/a", "x"), content(0, "set/b", "y"))(t, f)
			f.bendPieces = func(all []piece) []piece { return append(all[:2], all[3:]...) }
		}},
	{"an entry added to a folder after signing", 6, statement.CodeDigestMismatch,
		func(t testing.TB, f *forgery) {
			aFolder(contentDir(0, "set"), content(0, "set/a", "x"))(t, f)
			f.bendPieces = func(all []piece) []piece {
				return append(all[:3:3], content(0, "set/b", "y"), all[3])
			}
		}},
}

// signedOver signs the forgery as it is now, whatever is bent later.
func signedOver(t testing.TB, f *forgery) func(head, body id.Hash) string {
	var jws string
	f.jws = func(head, body id.Hash) string {
		jws = signedBy(t, f.from.identity)(head, body)
		return jws
	}
	f.plain(t)
	return func(id.Hash, id.Hash) string { return jws }
}

func afterSigning(bend func(*piece)) func(testing.TB, *forgery) {
	return func(_ testing.TB, f *forgery) {
		f.bendPieces = func(all []piece) []piece { bend(&all[1]); return all }
	}
}

// withTail ends the archive in another way.
func withTail(tail []byte) func(testing.TB, *forgery) {
	return func(_ testing.TB, f *forgery) { f.tail = tail }
}

const trailing = statement.CodeTrailingData

var hostileEnds = []hostile{
	{"no end of the archive", 7, trailing, withTail(nil)},
	{"half an end of the archive", 7, trailing, withTail(make([]byte, 512))},
	{"a byte less at the end", 7, trailing, withTail(make([]byte, 1023))},
	{"a byte more at the end", 7, trailing, withTail(make([]byte, 1025))},
	{"a record of zeros at the end, as tar makes it", 7, trailing, withTail(make([]byte, 10240))},
	{"something in the zeros at the end", 7, trailing,
		withTail(append(make([]byte, 1000), []byte("secret channel          ")...))},
	{"a second archive behind the first", 7, trailing, func(_ testing.TB, f *forgery) {
		f.bendPlain = func(p []byte) []byte { return append(p[:len(p):len(p)], p...) }
	}},
	{"cut in a chunk behind the archive's end", 7, statement.CodeCiphertext,
		func(t testing.TB, f *forgery) {
			// The archive ends exactly where the first chunk of age does; the second has one byte
			// and is missing. A tar reader would not notice.
			const chunk = 64 << 10
			f.pieces = []piece{content(0, "data.csv", "")}
			size := chunk - len(f.plain(t))
			f.pieces = []piece{content(0, "data.csv", strings.Repeat("x", size))}
			f.bendPlain = func(p []byte) []byte {
				if len(p) != chunk {
					t.Fatalf("the archive has %d bytes", len(p))
				}
				return append(p, 0)
			}
			inPayload(func(p []byte) []byte { return p[:16+chunk+16] })(t, f)
		}},
}
