package envelope

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"sealpost/statement"
)

// smallSegment is the size of a segment in most tests.
const smallSegment = 4 << 10

// Whatever the recipients, the plaintext of a segment can fill it exactly.
func TestSegmentsCanBeFilled(t *testing.T) {
	for _, suite := range []string{SuiteHybrid, SuiteX25519} {
		_, public, err := generate(suite)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Recipient{Key: public}.Prepare()
		if err != nil {
			t.Fatal(err)
		}
		header := func(recipients int) int64 {
			var out bytes.Buffer
			if _, err := age.Encrypt(&out, slices.Repeat([]age.Recipient{r.parsed},
				recipients)...); err != nil {
				t.Fatal(err)
			}
			return int64(out.Len())
		}
		one := header(1)
		each := header(2) - one
		if got := header(MaxRecipients); got != one+(MaxRecipients-1)*each {
			t.Fatalf("a header for %d has %d bytes", MaxRecipients, got)
		}
		for n := range int64(MaxRecipients) {
			space := segmentSize - one - n*each
			plain := capacity(space)
			chunks := (plain + chunkSize - 1) / chunkSize
			if got := plain + chunks*tagSize; got != space {
				t.Errorf("%s, %d recipients: a segment has %d bytes of space and takes %d", suite,
					n+1, space, got)
			}
		}
	}
}

// Each edge of a segment may fall anywhere in the archive, or at its end.
func TestEdgesOfSegments(t *testing.T) {
	w := newWorld(t, SuiteX25519)
	w.segment = smallSegment
	sizes := map[int]bool{} // of the archives: how far behind the edge of a segment
	first := 0
	for size := 512 * 10; size < 512*32; size += 512 {
		messages := []Message{message(1, "set", TypeFolder, folder("set"),
			memory("set/data", strings.Repeat("0123456789abcdef", size/16)),
			memory("set/tail", "x"))}
		req := w.request(t, messages, "CA-RC", "SF-RC")
		ciphertext, want, sealed := w.seal(t, req)
		parts := slices.Collect(slices.Chunk(ciphertext, smallSegment))
		got := newTray()
		opened, err := w.opener(t, "CA-RC").Open(bytes.NewReader(ciphertext), want, got)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		compareOpened(t, messages, sealed, opened, got)
		if first == 0 {
			first = len(decryptAs(t, w.site(t, "CA-RC"), parts[0]))
		}
		plain := decryptSegments(t, w.site(t, "CA-RC"), ciphertext, smallSegment)
		whole := (len(plain) + first - 1) / first
		if len(parts) != whole {
			t.Errorf("%d bytes are %d segments, want %d", len(plain), len(parts), whole)
		}
		sizes[len(plain)%first] = true
	}
	if len(sizes) < 20 {
		t.Errorf("only %d places of an edge were tried", len(sizes))
	}
}

// The archive may end with the last byte of a segment, or have one byte more or less.
func TestSegmentsOfAnyLength(t *testing.T) {
	w := newWorld(t, SuiteX25519)
	keys, _, err := wrapFor([]Recipient{w.site(t, "CA-RC").recipient()})
	if err != nil {
		t.Fatal(err)
	}
	cut := func(plain []byte) ([]byte, error) {
		var out bytes.Buffer
		s := sealers.Get().(*sealer)
		defer s.release()
		s.out = partWriter{w: &out}
		s.cipher.Reset(&s.out)
		s.cut = segmentWriter{out: &s.out, cipher: s.cipher, keys: keys, size: 100 << 10}
		for piece := range slices.Chunk(plain, 10_000) {
			if _, err := s.cut.Write(piece); err != nil {
				return nil, err
			}
		}
		err := s.cut.Close()
		return out.Bytes(), err
	}
	probe, err := cut(make([]byte, 200<<10))
	if err != nil {
		t.Fatal(err)
	}
	full := len(decryptAs(t, w.site(t, "CA-RC"), probe[:100<<10]))
	for _, size := range []int{1, full - 1, full, full + 1, 2*full - 1, 2 * full, 2*full + 1,
		3*full + chunkSize, 3*full + chunkSize + 1} {
		plain := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
		ciphertext, err := cut(plain)
		if err != nil {
			t.Fatal(err)
		}
		src := &source{r: bytes.NewReader(ciphertext), size: int64(len(ciphertext)),
			sums: checksums(ciphertext)}
		r := segmentReader{src: src, size: 100 << 10, header: make([]byte, maxHeader),
			unwrap: unwrapper{keys: w.site(t, "CA-RC").keys}}
		if err := r.next(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(&r)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %v, and %d bytes", size, err, len(got))
		}
		if want := (size + full - 1) / full; r.n != want {
			t.Errorf("%d bytes are %d segments, want %d", size, r.n, want)
		}
	}
}

// numbers is content without a period, so that no two segments of it are equal.
var numbers = func() string {
	var b strings.Builder
	for n := 10_000; b.Len() < 8000; n++ {
		fmt.Fprintln(&b, n)
	}
	return b.String()
}()

// inSegments seals the forgery in segments and changes them.
func inSegments(bend func(t testing.TB, f *forgery, all [][]byte) [][]byte) func(testing.TB,
	*forgery) {
	return func(t testing.TB, f *forgery) {
		f.segment = len(encrypt(t, nil, f.to...)) + 2000
		f.pieces = []piece{content(0, "data.csv", numbers)}
		f.bendSegments = func(all [][]byte) [][]byte { return bend(t, f, all) }
	}
}

// middle returns a segment with nothing but content, and content in the next one.
func middle(all [][]byte) int { return len(all)/2 - 1 }

// resealed encrypts the plaintext of one segment for other recipients or in another form.
func resealed(bend func(t testing.TB, f *forgery, plain []byte) []byte) func(testing.TB,
	*forgery) {
	return inSegments(func(t testing.TB, f *forgery, all [][]byte) [][]byte {
		m := middle(all)
		all[m] = bend(t, f, decryptAs(t, f.w.site(t, "CA-RC"), all[m]))
		return all
	})
}

var hostileSegments = []hostile{
	{"two segments exchanged", 4, statement.CodeDigestMismatch,
		inSegments(func(_ testing.TB, _ *forgery, all [][]byte) [][]byte {
			m := middle(all)
			all[m], all[m+1] = all[m+1], all[m]
			return all
		})},
	{"the first segment is not the first", 3, statement.CodeEntryInvalid,
		inSegments(func(_ testing.TB, _ *forgery, all [][]byte) [][]byte {
			all[0], all[1] = all[1], all[0]
			return all
		})},
	{"a segment is missing", 4, statement.CodeEntryInvalid,
		inSegments(func(_ testing.TB, _ *forgery, all [][]byte) [][]byte {
			return slices.Delete(all, middle(all), middle(all)+1)
		})},
	{"the last segments are missing", 4, statement.CodeEntryInvalid,
		inSegments(func(_ testing.TB, _ *forgery, all [][]byte) [][]byte {
			return all[:middle(all)+1]
		})},
	{"a segment twice", 4, statement.CodeEntryInvalid,
		inSegments(func(_ testing.TB, _ *forgery, all [][]byte) [][]byte {
			return slices.Insert(all, middle(all)+1, all[middle(all)])
		})},
	{"a segment of other content", 6, statement.CodeDigestMismatch,
		resealed(func(t testing.TB, f *forgery, plain []byte) []byte {
			return encrypt(t, bytes.Repeat([]byte("x"), len(plain)), f.to...)
		})},
	{"a segment for fewer recipients", 3, statement.CodeMetadataMismatch,
		resealed(func(t testing.TB, f *forgery, plain []byte) []byte {
			return encrypt(t, plain, f.to[0])
		})},
	{"a segment for others", 2, statement.CodeNotForMe,
		resealed(func(t testing.TB, f *forgery, plain []byte) []byte {
			return encrypt(t, plain, f.to[1], f.to[1])
		})},
	{"a segment with a malformed header", 2, statement.CodeHeaderInvalid,
		inSegments(func(_ testing.TB, _ *forgery, all [][]byte) [][]byte {
			all[middle(all)] = bytes.Replace(all[middle(all)], []byte("age-encryption.org/v1"),
				[]byte("age-encryption.org/v2"), 1)
			return all
		})},
	{"a changed byte in a later segment", 4, statement.CodeCiphertext,
		inSegments(func(_ testing.TB, _ *forgery, all [][]byte) [][]byte {
			last := all[len(all)-1]
			last[len(last)-1] ^= 1
			return all
		})},
	{"a segment that ends too early", 4, statement.CodeCiphertext,
		resealed(func(t testing.TB, f *forgery, plain []byte) []byte {
			return encrypt(t, plain[:len(plain)-1], f.to...) // the next one begins a byte early
		})},
	{"a segment that ends too late", 4, statement.CodeCiphertext,
		resealed(func(t testing.TB, f *forgery, plain []byte) []byte {
			return encrypt(t, append(plain, 0), f.to...)
		})},
	{"bytes behind the payload of a segment", 4, statement.CodeCiphertext,
		resealed(func(t testing.TB, f *forgery, plain []byte) []byte {
			return append(encrypt(t, plain[:len(plain)-1], f.to...), 0)
		})},
	{"an empty segment behind the last", 7, statement.CodeCiphertext,
		filled("")},
	{"a segment behind the end of the archive", 7, trailing,
		filled("secret channel")},
}

// filled makes the archive end with the last byte of the second segment, and adds one more segment.
func filled(more string) func(testing.TB, *forgery) {
	return func(t testing.TB, f *forgery) {
		f.pieces = []piece{content(0, "data.csv", numbers)}
		half := len(f.plain(t)) / 2
		chunks := (half + chunkSize - 1) / chunkSize
		f.segment = len(encrypt(t, nil, f.to...)) - tagSize + half + chunks*tagSize
		f.bendSegments = func(all [][]byte) [][]byte {
			if len(all) != 2 || len(all[1]) != f.segment {
				t.Fatalf("%d segments, the last of %d bytes", len(all), len(all[1]))
			}
			return append(all, encrypt(t, []byte(more), f.to...))
		}
	}
}

// A hub may mix the segments of two envelopes. They have one sender, the same recipients, and
// content of one name and size.
func TestSegmentsOfTwoEnvelopes(t *testing.T) {
	w := newWorld(t, SuiteHybrid)
	w.segment = smallSegment
	var all [2][][]byte
	var want Expect
	for i := range all {
		body := strings.Repeat(fmt.Sprint(i), 30<<10)
		req := w.request(t, []Message{file(int64(i+1), "data.csv", body)}, "CA-RC")
		var ciphertext []byte
		ciphertext, want, _ = w.seal(t, req)
		all[i] = slices.Collect(slices.Chunk(ciphertext, smallSegment))
	}
	for i := range all[1] {
		mixed := slices.Clone(all[1])
		mixed[i] = all[0][i]
		ciphertext := bytes.Join(mixed, nil)
		want.Size, want.CRC32C = int64(len(ciphertext)), checksums(ciphertext)
		_, err := w.opener(t, "CA-RC").Open(bytes.NewReader(ciphertext), want, newTray())
		code := statement.CodeDigestMismatch
		if i == 0 {
			code = statement.CodeMetadataMismatch
		}
		refusedWith(t, err, code)
	}
	if len(all[1]) < 4 {
		t.Errorf("only %d segments", len(all[1]))
	}
}
