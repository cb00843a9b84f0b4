package envelope

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"

	"sealpost/statement"
)

// otherSuite is a recipient of the suite that the network does not use.
func otherSuite(t testing.TB, w *world) age.Recipient {
	t.Helper()
	suite := SuiteHybrid
	if w.suite == SuiteHybrid {
		suite = SuiteX25519
	}
	_, public, err := generate(suite)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Recipient{Key: public}.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	return r.parsed
}

// mixed adds a recipient although age would not.
func mixed(r age.Recipient) func(testing.TB, *forgery) {
	return func(_ testing.TB, f *forgery) { f.mix(r) }
}

func (f *forgery) mix(r age.Recipient) {
	for i := range f.to {
		f.to[i] = unlabelled{f.to[i]}
	}
	f.to = append(f.to, unlabelled{r})
}

// inHeader bends the header as text.
func inHeader(bend func(string) string) func(testing.TB, *forgery) {
	return func(_ testing.TB, f *forgery) {
		f.bendFile = func(file []byte) []byte {
			end := payloadOf(file)
			return append([]byte(bend(string(file[:end]))), file[end:]...)
		}
	}
}

// inPayload changes the bytes after the header.
func inPayload(bend func([]byte) []byte) func(testing.TB, *forgery) {
	return func(_ testing.TB, f *forgery) {
		f.bendFile = func(file []byte) []byte {
			end := payloadOf(file)
			return append(slices.Clone(file[:end]), bend(slices.Clone(file[end:]))...)
		}
	}
}

// payloadOf returns the place behind the header of an age file. The nonce stands there.
func payloadOf(file []byte) int {
	mac := bytes.Index(file, []byte("\n---")) + 1
	return mac + bytes.IndexByte(file[mac:], '\n') + 1
}

// stanzaOfSuite gives the network's own stanza type other arguments and another body.
func stanzaOfSuite(args []string, body []byte) func(testing.TB, *forgery) {
	return func(_ testing.TB, f *forgery) {
		f.to = append([]age.Recipient{stanzas{{Type: stanzaOf[f.w.suite], Args: args, Body: body}}},
			unlabelledAll(f.to)...)
	}
}

// othersStanza makes SF-RC's stanza one of the right type and a wrong shape. CA-RC's is sound.
func othersStanza(more, body int) func(testing.TB, *forgery) {
	return func(_ testing.TB, f *forgery) {
		argument := argumentOf[stanzaOf[f.w.suite]] + more
		f.to = unlabelledAll([]age.Recipient{f.to[0],
			stanzas{{Type: stanzaOf[f.w.suite], Args: []string{strings.Repeat("A", argument)},
				Body: make([]byte, body)}}})
	}
}

func unlabelledAll(to []age.Recipient) []age.Recipient {
	var all []age.Recipient
	for _, r := range to {
		all = append(all, unlabelled{r})
	}
	return all
}

var hostileHeaders = []hostile{
	{"no age file", 2, statement.CodeHeaderInvalid, func(_ testing.TB, f *forgery) {
		f.bendFile = func([]byte) []byte { return []byte("PK\x03\x04 this is something else") }
	}},
	{"one byte", 2, statement.CodeHeaderInvalid, func(_ testing.TB, f *forgery) {
		f.bendFile = func([]byte) []byte { return []byte{0} }
	}},
	{"armoured", 2, statement.CodeHeaderInvalid, func(t testing.TB, f *forgery) {
		f.bendFile = func(file []byte) []byte {
			var out bytes.Buffer
			w := armor.NewWriter(&out)
			w.Write(file)
			w.Close()
			return out.Bytes()
		}
	}},
	{"another version of age", 2, statement.CodeHeaderInvalid, inHeader(func(h string) string {
		return strings.Replace(h, "/v1", "/v2", 1)
	})},
	{"lines that end as on Windows", 2, statement.CodeHeaderInvalid,
		inHeader(func(h string) string {
			return strings.ReplaceAll(h, "\n", "\r\n")
		})},
	{"the header is cut", 2, statement.CodeHeaderInvalid, func(_ testing.TB, f *forgery) {
		f.bendFile = func(file []byte) []byte { return file[:bytes.Index(file, []byte("\n---"))] }
	}},
	{"nothing behind the header", 2, statement.CodeHeaderInvalid, inPayload(func([]byte) []byte {
		return nil
	})},
	{"the nonce is cut", 2, statement.CodeHeaderInvalid, inPayload(func(p []byte) []byte {
		return p[:15]
	})},
	{"no stanza", 2, statement.CodeHeaderInvalid, inHeader(func(h string) string {
		return h[:strings.Index(h, "->")] + h[strings.Index(h, "---"):]
	})},
	{"a stanza was taken away", 2, statement.CodeHeaderInvalid, inHeader(func(h string) string {
		second := strings.LastIndex(h, "-> ")
		return h[:second] + h[strings.Index(h, "---"):]
	})},
	{"the header's seal is wrong", 2, statement.CodeHeaderInvalid, inHeader(func(h string) string {
		mac := strings.Index(h, "--- ") + 4
		return h[:mac] + strings.Repeat("A", len(h)-mac-1) + "\n"
	})},
	{"65 stanzas", 2, statement.CodeHeaderInvalid, func(t testing.TB, f *forgery) {
		for len(f.to) < MaxRecipients+1 {
			f.to = append(f.to, f.to[1])
		}
	}},
	{"a stanza of the other suite", 2, statement.CodeHeaderInvalid, func(t testing.TB, f *forgery) {
		f.mix(otherSuite(t, f.w))
	}},
	{"all stanzas of the other suite", 2, statement.CodeHeaderInvalid,
		func(t testing.TB, f *forgery) {
			f.to = []age.Recipient{otherSuite(t, f.w), otherSuite(t, f.w)}
		}},
	{"a passphrase", 2, statement.CodeHeaderInvalid, func(t testing.TB, f *forgery) {
		r, err := age.NewScryptRecipient("correct horse")
		if err != nil {
			t.Fatal(err)
		}
		r.SetWorkFactor(2)
		f.to = []age.Recipient{r}
	}},
	{"an SSH stanza", 2, statement.CodeHeaderInvalid,
		mixed(stanzas{{Type: "ssh-ed25519", Args: []string{"AAAA", "BBBB"},
			Body: make([]byte, 32)}})},
	{"a plugin's stanza", 2, statement.CodeHeaderInvalid,
		mixed(stanzas{{Type: "yubikey", Args: []string{"AAAA"}, Body: make([]byte, 32)}})},
	{"grease", 2, statement.CodeHeaderInvalid,
		mixed(stanzas{{Type: "a-grease", Args: []string{"x", "y"}, Body: make([]byte, 100)}})},
	{"a stanza type in capitals", 2, statement.CodeHeaderInvalid, func(_ testing.TB, f *forgery) {
		f.mix(stanzas{{Type: strings.ToUpper(stanzaOf[f.w.suite]) + "!", Args: []string{"AAAA"},
			Body: make([]byte, 32)}})
	}},
	{"a stanza without its argument", 2, statement.CodeHeaderInvalid,
		stanzaOfSuite(nil, make([]byte, 32))},
	{"a stanza with two arguments", 2, statement.CodeHeaderInvalid,
		stanzaOfSuite([]string{"AAAA", "AAAA"}, make([]byte, 32))},
	{"a stanza with a short key", 2, statement.CodeHeaderInvalid,
		stanzaOfSuite([]string{"AAAA"}, make([]byte, 32))},
	{"another's stanza with a long body", 2, statement.CodeHeaderInvalid, othersStanza(0, 33)},
	{"another's stanza with a short body", 2, statement.CodeHeaderInvalid, othersStanza(0, 31)},
	{"another's stanza with a short key", 2, statement.CodeHeaderInvalid, othersStanza(-3, 32)},
	{"a header of more than 128 KiB", 2, statement.CodeHeaderInvalid,
		func(t testing.TB, f *forgery) {
			stanzaOfSuite([]string{"AAAA"}, make([]byte, 100<<10))(t, f)
		}},
	{"a header of more than 128 KiB without an end", 2, statement.CodeHeaderInvalid,
		func(_ testing.TB, f *forgery) {
			f.bendFile = func([]byte) []byte {
				return append([]byte("age-encryption.org/v1\n-> X25519 "),
					bytes.Repeat([]byte("A"), 200<<10)...)
			}
		}},
	{"sealed for others only", 2, statement.CodeNotForMe, func(t testing.TB, f *forgery) {
		f.to = f.to[1:]
	}},
	{"sealed for another key of this site", 2, statement.CodeNotForMe,
		func(t testing.TB, f *forgery) {
			_, public, err := generate(f.w.suite)
			if err != nil {
				t.Fatal(err)
			}
			r, err := Recipient{Site: "CA-RC", Key: public}.Prepare()
			if err != nil {
				t.Fatal(err)
			}
			f.to[0] = r.parsed
			f.head.Recipients[0].Key = statement.RecipientKeyHash(public)
		}},
	{"the nonce was changed", 2, statement.CodeCiphertext, inPayload(func(p []byte) []byte {
		p[3] ^= 1
		return p
	})},
	{"the payload was changed", 2, statement.CodeCiphertext, inPayload(func(p []byte) []byte {
		p[100] ^= 1
		return p
	})},
	{"the payload is cut", 2, statement.CodeCiphertext, inPayload(func(p []byte) []byte {
		return p[:len(p)-1]
	})},
	{"the payload is empty", 2, statement.CodeCiphertext, inPayload(func(p []byte) []byte {
		return p[:16]
	})},
	{"the payload is another envelope's", 2, statement.CodeCiphertext,
		func(t testing.TB, f *forgery) {
			inPayload(func(p []byte) []byte {
				other := encrypt(t, f.plain(t), f.to...)
				return other[len(other)-len(p):]
			})(t, f)
		}},
	{"the last chunk is missing", 2, statement.CodeCiphertext, func(t testing.TB, f *forgery) {
		f.pieces = []piece{content(0, "data.csv", strings.Repeat("x", 129_000))}
		inPayload(func(p []byte) []byte { return p[:16+2*(64<<10+16)] })(t, f)
	}},
	{"two chunks are swapped", 2, statement.CodeCiphertext, func(t testing.TB, f *forgery) {
		f.pieces = []piece{content(0, "data.csv", strings.Repeat("x", 200<<10))}
		inPayload(func(p []byte) []byte {
			const chunk = 64<<10 + 16
			first, second := slices.Clone(p[16:16+chunk]), p[16+chunk:16+2*chunk]
			copy(p[16:], second)
			copy(p[16+chunk:], first)
			return p
		})(t, f)
	}},
	{"bytes behind the age file", 2, statement.CodeCiphertext, inPayload(func(p []byte) []byte {
		return append(p, 0)
	})},
	{"a second age file behind the first", 2, statement.CodeCiphertext,
		func(t testing.TB, f *forgery) {
			f.bendFile = func(file []byte) []byte { return append(slices.Clone(file), file...) }
		}},
}

// The limit holds before age parses anything, and no more is read than that.
func TestHeaderIsReadUpToItsLimit(t *testing.T) {
	src := &endless{1 << 30}
	_, err := readHeader(src, make([]byte, maxHeader))
	var f *flaw
	if !errors.As(err, &f) || f.code != statement.CodeHeaderInvalid {
		t.Errorf("got %v", err)
	}
	if read := 1<<30 - src.left; read > maxHeader {
		t.Errorf("read %d bytes", read)
	}
	w := newWorld(t, SuiteHybrid)
	f64 := forge(t, w)
	for len(f64.to) < MaxRecipients {
		f64.to = append(f64.to, f64.to[1])
	}
	file, _ := f64.seal(t)
	start, err := readHeader(bytes.NewReader(file), make([]byte, maxHeader))
	if err != nil || !hasHeaderEnd(start) || len(start) > bytes.Index(file, []byte("\n---"))+8<<10+
		64 {
		t.Errorf("%d bytes, %v", len(start), err)
	}
}
