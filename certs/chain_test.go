package certs

import (
	"bytes"
	"testing"
)

func FuzzParseChain(f *testing.F) {
	root, err := InitRoot(f.TempDir(), "TEST")
	if err != nil {
		f.Fatal(err)
	}
	one := encodeChain(root.Certificate())
	f.Add(one)
	f.Add(append(bytes.Clone(one), one...))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nA: b\n\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, err := parseChain(data, 1)
		if err != nil {
			return
		}
		reopened, err := parseChain(encodeChain(certs...), 1)
		if err != nil || !reopened[0].Equal(certs[0]) {
			t.Errorf("accepted %q, which reads again as %v", data, err)
		}
	})
}
