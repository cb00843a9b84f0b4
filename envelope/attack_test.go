package envelope

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"filippo.io/age"

	"sealpost/internal/id"
	"sealpost/statement"
)

// refusedWith fails unless err is a refusal with the code.
func refusedWith(t testing.TB, err error, code string) {
	t.Helper()
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Code != code {
		t.Fatalf("got %v, want a refusal with %s", err, code)
	}
}

// decryptAs returns the signed plaintext, as any recipient can.
func decryptAs(t testing.TB, s *site, ciphertext []byte) []byte {
	t.Helper()
	r, err := age.Decrypt(bytes.NewReader(ciphertext), s.keys.held.Load().identities...)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// decryptSegments returns the plaintext of all segments, or of the only one if segment is 0.
func decryptSegments(t testing.TB, s *site, ciphertext []byte, segment int64) (plain []byte) {
	t.Helper()
	for part := range slices.Chunk(ciphertext, int(cmp.Or(segment, segmentSize))) {
		plain = append(plain, decryptAs(t, s, part)...)
	}
	return plain
}

// CA-RC is a recipient of an envelope by FL-LAB, and takes its signed content for its own ends.
func TestRecipientSealsAgain(t *testing.T) {
	w := newWorld(t, SuiteHybrid)
	req := w.request(t, []Message{file(1, "data.csv", "secret")}, "CA-RC", "SF-RC")
	ciphertext, want, _ := w.seal(t, req)
	plain := decryptAs(t, w.site(t, "CA-RC"), ciphertext)
	keysOf := func(names ...id.Site) (to []age.Recipient) {
		for _, name := range names {
			r, err := w.site(t, name).recipient().Prepare()
			if err != nil {
				t.Fatal(err)
			}
			to = append(to, r.parsed)
		}
		return to
	}
	resealed := func(to ...id.Site) ([]byte, Expect) {
		c := encrypt(t, plain, keysOf(to...)...)
		record := want
		record.Size, record.CRC32C = int64(len(c)), checksums(c)
		return c, record
	}

	t.Run("for a site that was no recipient", func(t *testing.T) {
		c, record := resealed("NY-RC", "SF-RC")
		_, err := w.opener(t, "NY-RC").Open(bytes.NewReader(c), record, newTray())
		refusedWith(t, err, statement.CodeNotForMe)
	})
	t.Run("for one recipient alone", func(t *testing.T) {
		c, record := resealed("SF-RC")
		_, err := w.opener(t, "SF-RC").Open(bytes.NewReader(c), record, newTray())
		refusedWith(t, err, statement.CodeMetadataMismatch)
	})
	t.Run("for one site more", func(t *testing.T) {
		c, record := resealed("CA-RC", "NY-RC", "SF-RC")
		_, err := w.opener(t, "SF-RC").Open(bytes.NewReader(c), record, newTray())
		refusedWith(t, err, statement.CodeMetadataMismatch)
	})
	t.Run("and publishes it as its own", func(t *testing.T) {
		c, record := resealed("CA-RC", "SF-RC")
		record.Sender = "CA-RC"
		record.Messages = []ExpectMessage{{ID: "CA-RC_DAT_20251008_001", UID: req.Messages[0].UID}}
		_, err := w.opener(t, "SF-RC").Open(bytes.NewReader(c), record, newTray())
		refusedWith(t, err, statement.CodeMetadataMismatch)
	})
	t.Run("under a new envelope id", func(t *testing.T) {
		c, record := resealed("CA-RC", "SF-RC")
		record.Envelope = id.Random128[id.Envelope]()
		_, err := w.opener(t, "SF-RC").Open(bytes.NewReader(c), record, newTray())
		refusedWith(t, err, statement.CodeMetadataMismatch)
	})
	t.Run("unchanged, with the hub's help", func(t *testing.T) {
		// Only the encryption was changed. By its uid it is still FL-LAB's message to SF-RC.
		c, record := resealed("CA-RC", "SF-RC")
		opened, err := w.opener(t, "SF-RC").Open(bytes.NewReader(c), record, newTray())
		if err != nil {
			t.Fatal(err)
		}
		if opened.Messages[0].UID != req.Messages[0].UID ||
			opened.SenderKey != w.site(t, "FL-LAB").identity.Key() {
			t.Errorf("got %+v", opened)
		}
	})
}

// An old envelope of the same sender, served in the place of a new one, is not taken for it.
func TestReplayUnderAnotherRecord(t *testing.T) {
	w := newWorld(t, SuiteX25519)
	old, _, _ := w.seal(t, w.request(t, []Message{file(1, "data.csv", "old")}, "CA-RC"))
	_, want, _ := w.seal(t, w.request(t, []Message{file(2, "data.csv", "new")}, "CA-RC"))
	want.Size, want.CRC32C = int64(len(old)), checksums(old)
	_, err := w.opener(t, "CA-RC").Open(bytes.NewReader(old), want, newTray())
	refusedWith(t, err, statement.CodeMetadataMismatch)
}

// proven opens exactly these bytes, as if they had been published.
func proven(o *Opener, ciphertext []byte, want Expect) error {
	want.Size, want.CRC32C = int64(len(ciphertext)), checksums(ciphertext)
	_, err := o.Open(bytes.NewReader(ciphertext), want, newTray())
	return err
}

// soak makes the tests try every place.
var soak = os.Getenv("SEALPOST_SOAK") != ""

// isTried picks the places for faults. A short run tries each place up to the nonce, 64 at the end,
// and every eighth between: all places of a chunk fail its one tag.
func isTried(at, size int) bool { return soak || at < 512 || at >= size-64 || at%8 == 0 }

// sampled picks the places at which faults of the transport are tried, too: both ends, and some
// between.
func sampled(at, size int) bool {
	return at < 32 || at >= size-32 || at%8 == 0
}

func TestEveryTruncation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, SuiteX25519)
	o := w.opener(t, "CA-RC")
	ciphertext, want, _ := w.seal(t, w.request(t, []Message{file(1, "data.csv", "a,b\n")}, "CA-RC",
		"SF-RC"))
	for n := range len(ciphertext) {
		if !isTried(n, len(ciphertext)) {
			continue
		}
		if sampled(n, len(ciphertext)) {
			if _, err := o.Open(bytes.NewReader(ciphertext[:n]), want, newTray()); !errors.Is(err,
				ErrTruncated) {
				t.Fatalf("%d bytes of %d on the way: %v", n, len(ciphertext), err)
			}
		}
		var refusal *Refusal
		if err := proven(o, ciphertext[:n], want); n > 0 && !errors.As(err, &refusal) {
			t.Fatalf("%d bytes of %d published: %v", n, len(ciphertext), err)
		}
	}
}

func TestEveryFlippedBit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, SuiteX25519)
	o := w.opener(t, "CA-RC")
	ciphertext, want, _ := w.seal(t, w.request(t, []Message{file(1, "data.csv", "a,b\n")}, "CA-RC",
		"SF-RC"))
	for n := range ciphertext {
		if !isTried(n, len(ciphertext)) {
			continue
		}
		bit := byte(1) << ((n + n/8) % 8)
		ciphertext[n] ^= bit
		flipped(t, o, ciphertext, want, n)
		ciphertext[n] ^= bit
	}
	if err := proven(o, ciphertext, want); err != nil {
		t.Fatal(err)
	}
}

// flipped checks that a changed byte is a fault of transport, and of the envelope if it was
// published so.
func flipped(t *testing.T, o *Opener, ciphertext []byte, want Expect, at int) {
	t.Helper()
	if sampled(at, len(ciphertext)) {
		if _, err := o.Open(bytes.NewReader(ciphertext), want, newTray()); !errors.Is(err,
			ErrChecksum) {
			t.Fatalf("byte %d changed on the way: %v", at, err)
		}
	}
	var refusal *Refusal
	if err := proven(o, ciphertext, want); !errors.As(err, &refusal) {
		t.Fatalf("byte %d changed before it was published: %v", at, err)
	}
}

// The ends of each chunk and some places between, and the places around the ends of parts.
func TestFlippedBitsOfLargeEnvelopes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, SuiteHybrid)
	o := w.opener(t, "CA-RC")
	random := rand.New(rand.NewPCG(1, 2))
	chunks, want, _ := w.seal(t,
		w.request(t, []Message{file(1, "data.csv", string(make([]byte, 300<<10)))}, "CA-RC"))
	var places []int
	const chunk = 64<<10 + 16
	for at := payloadOf(chunks) + 16; at < len(chunks); at += chunk {
		places = append(places, at, min(at+chunk, len(chunks))-1)
	}
	some := 50
	if soak {
		some = 1000
	}
	for range some {
		places = append(places, random.IntN(len(chunks)))
	}
	for _, n := range places {
		chunks[n] ^= 0x10
		flipped(t, o, chunks, want, n)
		chunks[n] ^= 0x10
	}
	parts, want, _ := w.seal(t,
		w.request(t, []Message{file(1, "data.csv", string(make([]byte, 2*partSize)))}, "CA-RC"))
	if len(want.CRC32C) != 3 {
		t.Fatalf("%d parts", len(want.CRC32C))
	}
	for _, n := range []int{partSize - 1, partSize, 2*partSize - 1, 2 * partSize, len(parts) - 1} {
		parts[n] ^= 0x10
		flipped(t, o, parts, want, n)
		parts[n] ^= 0x10
		if _, err := o.Open(bytes.NewReader(parts[:n]), want, newTray()); !errors.Is(err,
			ErrTruncated) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	if err := proven(o, parts, want); err != nil {
		t.Fatal(err)
	}
}
