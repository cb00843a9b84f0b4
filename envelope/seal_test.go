package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sealpost/internal/id"
	"sealpost/statement"
)

func mkdir(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

// anyMessages draws one message of any kind, or several files.
func anyMessages(t *rapid.T) []Message {
	content := rapid.OneOf(rapid.Just(""), rapid.StringN(1, 1, -1), rapid.String(),
		rapid.Map(rapid.IntRange(0, 200<<10), func(n int) string {
			return strings.Repeat("x", n)
		}))
	drawFile := func(path string) Entry {
		e := memory(path, content.Draw(t, "content"))
		e.Executable = rapid.Bool().Draw(t, "executable")
		e.ModTime = time.Unix(rapid.Int64Range(-5, maxOctal+5).Draw(t, "mtime"),
			rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		return e
	}
	name := anyName(t)
	if rapid.Bool().Draw(t, "folder") {
		entries := []Entry{folder(name)}
		for _, path := range anyTree(t, name) {
			if rapid.Bool().Draw(t, "dir") {
				entries = append(entries, folder(path))
			} else {
				entries = append(entries, drawFile(path))
			}
		}
		return []Message{message(1, name, TypeFolder, reachable(entries)...)}
	}
	messages := []Message{message(1, name, TypeFile, drawFile(name))}
	for n := int64(2); n <= rapid.Int64Range(1, 4).Draw(t, "files"); n++ {
		name := anyName(t)
		messages = append(messages, message(n, name, TypeFile, drawFile(name)))
	}
	return messages
}

func anyName(t *rapid.T) string {
	name := rapid.OneOf(rapid.StringN(1, 40, 200), rapid.StringMatching(`[a-z"'. -]{1,120}`)).Draw(
		t, "name")
	if ValidName(name) != nil {
		t.Skip("not a valid name")
	}
	return name
}

func anyTree(t *rapid.T, root string) []string {
	var paths []string
	for range rapid.IntRange(0, 12).Draw(t, "entries") {
		parents := append([]string{root}, paths...)
		path := rapid.SampledFrom(parents).Draw(t, "parent") + "/" + anyName(t)
		if ValidPath(path) == nil && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// reachable removes entries that lie under a file.
func reachable(entries []Entry) []Entry {
	dirs := map[string]bool{}
	var kept []Entry
	for _, e := range entries {
		parent := e.Path[:max(0, strings.LastIndexByte(e.Path, '/'))]
		if parent == "" || dirs[parent] {
			kept = append(kept, e)
			dirs[e.Path] = e.Dir
		}
	}
	return kept
}

func TestWhatIsSealedIsOpened(t *testing.T) {
	for _, suite := range []string{SuiteHybrid, SuiteX25519} {
		w := newWorld(t, suite)
		t.Run(suite, rapid.MakeCheck(func(rt *rapid.T) {
			messages := anyMessages(rt)
			ciphertext, want, sealed := w.seal(t, w.request(t, messages, "CA-RC", "SF-RC"))
			got := newTray()
			opened, err := w.opener(t, "SF-RC").Open(bytes.NewReader(ciphertext), want, got)
			if err != nil {
				rt.Fatal(err)
			}
			compareOpened(rt, messages, sealed, opened, got)
			signed, err := statement.Open[statement.EnvelopeSignature](string(opened.Signature),
				w.verifier, want.At)
			if err != nil || signed.Payload.Head != hashOf(opened.Head) {
				rt.Fatalf("the signature is not over the head: %v", err)
			}
			if len(messages) == 1 && hashOf(got.signed) != opened.Messages[0].Digest {
				rt.Fatal("the signed entries are not those of the digest")
			}
		}))
	}
}

func compareOpened(t rapid.TB, messages []Message, sealed Sealed, opened Opened, got *tray) {
	for i, m := range messages {
		o := opened.Messages[i]
		if o.ID != m.ID || o.UID != m.UID || o.Name != m.Name || o.Type != m.Type ||
			!o.Sent.Equal(m.Sent) {
			t.Fatalf("message %d: got %+v, want %+v", i, o, m)
		}
		if o.Digest != sealed.Digests[i] || o.Fingerprint != Fingerprint(m.FingerprintKey,
			o.Digest) {
			t.Fatalf("message %d: digest %s, sealed as %s", i, o.Digest, sealed.Digests[i])
		}
		var entries, size int64
		for e := range m.Entries {
			key := got.key(i, e.Path)
			entries++
			if wantTime := time.Unix(min(max(e.ModTime.Unix(), 0), maxOctal-1),
				0); !got.times[key].Equal(wantTime) {
				t.Fatalf("%q: time %s, want %s", e.Path, got.times[key], wantTime)
			}
			if e.Dir {
				if !slices.Contains(got.dirs, key) {
					t.Fatalf("the folder %q is missing", e.Path)
				}
				continue
			}
			size += e.Size
			r, _ := e.Open()
			content, _ := io.ReadAll(r)
			if got.files[key] != string(content) || got.modes[key] != e.Executable {
				t.Fatalf("%q differs", e.Path)
			}
		}
		if o.Entries != entries || o.Size != size {
			t.Fatalf("message %d: %d entries of %d bytes, want %d of %d", i, o.Entries, o.Size,
				entries, size)
		}
	}
}

func TestMostMessagesAndRecipients(t *testing.T) {
	for _, suite := range []string{SuiteHybrid, SuiteX25519} {
		w := newWorld(t, suite)
		var messages []Message
		for n := range int64(MaxMessages) {
			messages = append(messages, file(n+1, fmt.Sprintf("data-%d.csv", n), fmt.Sprint(n)))
		}
		var names []id.Site
		for n := range MaxRecipients {
			names = append(names, id.Site(fmt.Sprintf("RC-%d", n)))
		}
		ciphertext, want, sealed := w.seal(t, w.request(t, messages, names...))
		for _, name := range []id.Site{"RC-0", "RC-63"} {
			opened, err := w.opener(t, name).Open(bytes.NewReader(ciphertext), want, newTray())
			if err != nil {
				t.Fatal(err)
			}
			if len(opened.Messages) != MaxMessages ||
				opened.Messages[255].Digest != sealed.Digests[255] {
				t.Errorf("%d messages", len(opened.Messages))
			}
		}
	}
}

// Sealing again, for others, under another id, at another time, gives the same digests.
func TestDigestsAreTheMessages(t *testing.T) {
	w := newWorld(t, SuiteX25519)
	messages := []Message{message(1, "set", TypeFolder, folder("set"), memory("set/a", "x"),
		folder("set/b"), memory("set/b/c", "y"))}
	_, _, first := w.seal(t, w.request(t, messages, "CA-RC"))
	messages[0].UID, messages[0].FingerprintKey = id.Random128[id.UID](), [32]byte{1}
	_, _, second := w.seal(t, w.request(t, messages, "CA-RC", "SF-RC"))
	if !slices.Equal(first.Digests, second.Digests) {
		t.Errorf("%s and %s", first.Digests, second.Digests)
	}
}

func TestSealRefuses(t *testing.T) {
	w := newWorld(t, SuiteX25519)
	other := newWorld(t, SuiteHybrid)
	broken := errors.New("the disk is broken")
	withEntry := func(bend func(*Entry)) func(*SealRequest) {
		return func(req *SealRequest) {
			e := memory("data.csv", "12345")
			bend(&e)
			req.Messages = []Message{message(1, "data.csv", TypeFile, e)}
		}
	}
	tests := []struct {
		name string
		bend func(*SealRequest)
		err  error // nil: any
	}{
		{"a source that shrank", withEntry(func(e *Entry) { e.Size = 6 }), ErrSourceChanged},
		{"a source that grew", withEntry(func(e *Entry) { e.Size = 4 }), ErrSourceChanged},
		{"an empty source that grew", withEntry(func(e *Entry) { e.Size = 0 }), ErrSourceChanged},
		{"a source that became empty", withEntry(func(e *Entry) {
			e.Open = memory("", "").Open
		}), ErrSourceChanged},
		{"a source that fails to open", withEntry(func(e *Entry) {
			e.Open = func() (io.ReadCloser, error) { return nil, broken }
		}), broken},
		{"a source that fails in the middle", withEntry(func(e *Entry) {
			e.Open = func() (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(strings.NewReader("12"), failing{broken})), nil
			}
		}), broken},
		{"a source that fails at its end", withEntry(func(e *Entry) {
			e.Open = func() (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(strings.NewReader("12345"), failing{broken})),
					nil
			}
		}), broken},
		{"a negative size", withEntry(func(e *Entry) {
			e.Size, e.Open = -1, memory("", "").Open
		}), nil},
		{"a path that is not the name", withEntry(func(e *Entry) { e.Path = "other.csv" }), nil},
		{"a path that is not UTF-8", func(req *SealRequest) {
			req.Messages = []Message{file(1, "\xff", "x")}
		}, ErrName},
		{"a listing that fails", func(req *SealRequest) {
			req.Messages[0].Entries = func(yield func(Entry, error) bool) { yield(Entry{}, broken) }
		}, broken},
		{"no entry", func(req *SealRequest) {
			req.Messages[0].Entries = func(func(Entry, error) bool) {}
		}, nil},
		{"entries out of order", func(req *SealRequest) {
			req.Messages = []Message{message(1, "set", TypeFolder, folder("set"),
				memory("set/b", ""), memory("set/a", ""))}
		}, nil},
		{"another site's identity", func(req *SealRequest) { req.Sender = "PA-LAB" }, nil},
		{"no recipients", func(req *SealRequest) { req.Recipients = nil }, ErrRecipients},
		{"a recipient twice", func(req *SealRequest) {
			req.Recipients = append(req.Recipients, req.Recipients[0])
		}, ErrRecipients},
		{"two sites with one key", func(req *SealRequest) {
			req.Recipients = append(req.Recipients,
				Recipient{Site: "SF-RC", Key: req.Recipients[0].Key})
		}, ErrRecipients},
		{"recipients out of order", func(req *SealRequest) {
			req.Recipients = append(req.Recipients,
				Recipient{Site: "AA-RC", Key: w.site(t, "AA-RC").keys.Recipient()})
		}, ErrRecipients},
		{"mixed suites", func(req *SealRequest) {
			req.Recipients = append(req.Recipients, other.site(t, "SF-RC").recipient())
		}, ErrRecipients},
		{"a malformed key", func(req *SealRequest) {
			req.Recipients[0] = Recipient{Site: "CA-RC", Key: "age1nonsense"}
		}, ErrRecipients},
		{"an SSH key", func(req *SealRequest) {
			req.Recipients[0] = Recipient{Site: "CA-RC", Key: "ssh-ed25519 AAAA"}
		}, ErrRecipients},
		{"65 recipients", func(req *SealRequest) {
			for n := range MaxRecipients {
				_, public, _ := generate(SuiteX25519)
				req.Recipients = append(req.Recipients,
					Recipient{Site: id.Site(fmt.Sprintf("RC-%03d", n)), Key: public})
			}
		}, ErrRecipients},
		{"257 messages", func(req *SealRequest) {
			for n := range int64(MaxMessages) {
				req.Messages = append(req.Messages, file(n+2, "x", ""))
			}
		}, nil},
		{"a folder among several", func(req *SealRequest) {
			req.Messages = append(req.Messages, message(2, "set", TypeFolder, folder("set")))
		}, nil},
		{"several messages in more than 1 MiB", func(req *SealRequest) {
			req.Messages = append(req.Messages, file(2, "big", strings.Repeat("x", MaxShared)))
		}, ErrTooLarge},
		{"names too long for message.json", func(req *SealRequest) {
			for n := range int64(200) {
				req.Messages = append(req.Messages, file(n+2, strings.Repeat("\x01", MaxName), ""))
			}
		}, ErrTooLarge},
		{"no network", func(req *SealRequest) { req.Network = "" }, id.ErrInvalid},
		{"no envelope id", func(req *SealRequest) { req.Envelope = "" }, id.ErrInvalid},
		{"no address", func(req *SealRequest) { req.Address = id.Address{} }, id.ErrInvalid},
		{"no fingerprint key", func(req *SealRequest) {
			req.Messages[0].FingerprintKey = [32]byte{}
		}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req := w.request(t, []Message{file(1, "data.csv", "x")}, "CA-RC")
			test.bend(&req)
			sealed, err := Seal(io.Discard, req, w.site(t, "FL-LAB").identity)
			if err == nil || test.err != nil && !errors.Is(err, test.err) {
				t.Errorf("got %v, want %v", err, test.err)
			}
			if sealed.Size != 0 || sealed.Digests != nil {
				t.Errorf("got %+v beside the error", sealed)
			}
		})
	}
}

// full is a destination with room for n bytes.
type full struct{ n int }

var errFull = errors.New("no space left on device")

func (f *full) Write(b []byte) (int, error) {
	n := min(len(b), f.n)
	f.n -= n
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

func TestSealWithoutRoom(t *testing.T) {
	w := newWorld(t, SuiteX25519)
	req := w.request(t, []Message{file(1, "data.csv", strings.Repeat("x", 200<<10))}, "CA-RC")
	for room := 0; room < 200<<10; room += 7001 {
		if _, err := Seal(&full{room}, req, w.site(t, "FL-LAB").identity); !errors.Is(err,
			errFull) {
			t.Fatalf("with room for %d bytes: %v", room, err)
		}
	}
}
