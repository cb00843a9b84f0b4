package spoken

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sealpost/internal/id"
)

func TestWords(t *testing.T) {
	for fingerprint, want := range map[string]string{
		strings.Repeat("0", 64): "abandon abandon abandon abandon abandon abandon",
		strings.Repeat("f", 64): "zoo zoo zoo zoo zoo zoo",
		"":                      "",
		"00":                    "",
	} {
		if got := Words(id.Hash(fingerprint)); got != want {
			t.Errorf("%q is %q, want %q", fingerprint, got, want)
		}
	}
}

// The words are the first 66 bits in the numbers of the list.
func TestWordsAreThePrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "fingerprint")
		bits := fmt.Sprintf("%0256b", new(big.Int).SetBytes(raw))[:66]
		var want []string
		for i := 0; i < 66; i += 11 {
			n, _ := new(big.Int).SetString(bits[i:i+11], 2)
			want = append(want, list[n.Int64()])
		}
		if got := Words(id.Hash(hex.EncodeToString(raw))); got != strings.Join(want, " ") {
			t.Fatalf("%x is %q, want %q", raw, got, want)
		}
	})
}

// The list is the published one.
func TestTheListIsThePublishedOne(t *testing.T) {
	const published = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
	got := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	if got != published || len(list) != 2048 {
		t.Errorf("the list has %d words and the hash %s", len(list), got)
	}
}
