package shell

import "testing"

func TestACommandIsOneLineOfLetters(t *testing.T) {
	for word, want := range map[string]string{
		"":             `ls ''`,
		"a\nb":         `ls $'a\nb'`,
		"\x1b[2Jit's":  `ls $'\x1b[2Jit\'s'`,
		"\x1b\"":       `ls $'\x1b\"'`,
		"\xff":         `ls $'\xff'`,
		"it's":         `ls 'it'\''s'`,
		"of ann":       `ls 'of ann'`,
		"r\u202etxt.x": `ls $'r\u202etxt.x'`,
		"größe":        `ls größe`,
	} {
		if got := Join("ls", word); got != want {
			t.Errorf("%q is shown as %s, want %s", word, got, want)
		}
	}
}
