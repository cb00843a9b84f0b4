package envelope

import (
	"bytes"
	"os"
	"testing"
)

func mkdir(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestSealOpen(t *testing.T) {
	for _, suite := range []string{SuiteHybrid, SuiteX25519} {
		t.Run(suite, func(t *testing.T) {
			w := newWorld(t, suite)
			req := w.request(t, []Message{file(1, "data.csv", "a,b\n1,2\n")}, "CA-RC", "SF-RC")
			ciphertext, want, sealed := w.seal(t, req)
			if sealed.Size != int64(len(ciphertext)) {
				t.Errorf("size %d of %d", sealed.Size, len(ciphertext))
			}
			got := newTray()
			opened, err := w.opener(t, "CA-RC").Open(bytes.NewReader(ciphertext), want, got)
			if err != nil {
				t.Fatal(err)
			}
			if got.files["0/data.csv"] != "a,b\n1,2\n" {
				t.Errorf("got %q", got.files)
			}
			if opened.Messages[0].Digest != sealed.Digests[0] {
				t.Error("digests differ")
			}
		})
	}
}
