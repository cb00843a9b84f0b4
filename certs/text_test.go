package certs

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

const someText = "# sealpost test\n\nsite = \"CA-RC\"\n"

func signText(t *testing.T, i *Identity, text string) []byte {
	t.Helper()
	data, err := i.SignText([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestSignedText(t *testing.T) {
	n := newNetwork(t)
	data := signText(t, n.hub("hub.example.org"), someText)
	got, err := ParseSignedText(data)
	if err != nil || string(got.Text) != someText {
		t.Fatalf("%q, %v", got.Text, err)
	}
	v := NewVerifier(n.Root())
	if err := v.HubText(got, now); err != nil {
		t.Error(err)
	}
	// a long time later the hub's certificate has expired, and the text is still the hub's
	if err := v.HubText(got, now.Add(365*day)); !errors.Is(err, ErrNotValidNow) {
		t.Errorf("after the certificate's end: %v", err)
	}
	if err := v.HubText(SignedText{Text: got.Text}, now); !errors.Is(err, ErrUntrusted) {
		t.Errorf("without certificates: %v", err)
	}
}

// No bit of a signed text can change, and nothing can be added.
func TestASignedTextThatWasChanged(t *testing.T) {
	n := newNetwork(t)
	data, v := signText(t, n.hub("hub.example.org"), someText), NewVerifier(n.Root())
	for i := range data {
		for _, bit := range []byte{1, 0x20} {
			changed := bytes.Clone(data)
			changed[i] ^= bit
			got, err := ParseSignedText(changed)
			if err == nil {
				err = v.HubText(got, now)
			}
			if err == nil {
				t.Fatalf("byte %d of %q is changed to %q, and it is believed", i, data, changed[i])
			}
		}
	}
	for name, changed := range map[string][]byte{
		"empty": nil, "text alone": []byte(someText), "cut": data[:len(data)-20],
		"more":       append(bytes.Clone(data), "x"...),
		"line feeds": bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n")),
		"twice":      append(bytes.Clone(data), data...),
	} {
		got, err := ParseSignedText(changed)
		if err == nil {
			err = v.HubText(got, now)
		}
		if err == nil {
			t.Errorf("%s: it is believed", name)
		}
	}
}

func TestOnlyAHubOfTheNetworkSignsText(t *testing.T) {
	n, other := newNetwork(t), newNetwork(t)
	v := NewVerifier(n.Root())
	for name, data := range map[string][]byte{
		"a site":          signText(t, n.site("FL-LAB"), someText),
		"another network": signText(t, other.hub("hub.example.org"), someText),
	} {
		got, err := ParseSignedText(data)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.HubText(got, now); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTextThatCannotBeSigned(t *testing.T) {
	n := newNetwork(t)
	hub := n.hub("hub.example.org")
	for _, text := range []string{"", "x\n", "# sealpost without an end",
		"# sealpost\n", someText + "-----BEGIN CERTIFICATE-----\n"} {
		if data, err := hub.SignText([]byte(text)); err == nil {
			t.Errorf("%q is signed: %s", text, data)
		}
	}
	_, err := stranger(t).SignText([]byte(someText))
	if err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("without a certificate: %v", err)
	}
}
