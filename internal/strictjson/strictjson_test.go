package strictjson

import (
	"errors"
	"testing"
	"time"
)

// thing has one field of each kind that the project's exact forms use.
type thing struct {
	V     int       `json:"v"`
	Name  string    `json:"name"`
	Time  time.Time `json:"time"`
	Items []item    `json:"items"`
	Note  string    `json:"note,omitempty"`

	Wait  time.Duration  `json:"wait_ns,omitempty"`
	Sum   *[2]byte       `json:"sum,omitempty"`
	Even  *bool          `json:"even,omitempty"`
	Count map[string]int `json:"count,omitempty"`
	Until time.Time      `json:"until,omitzero"`
}

type item struct {
	Size int64  `json:"size"`
	Key  []byte `json:"key"`
}

const exact = `{"v":1,"name":"a<b>&ü","time":"2025-10-08T12:00:00Z",` +
	`"items":[{"size":9007199254740993,"key":"AQI="}]}`

func TestRoundTrip(t *testing.T) {
	var v thing
	if err := Unmarshal([]byte(exact), &v); err != nil {
		t.Fatal(err)
	}
	compared, err := Marshal(v)
	if err != nil || string(compared) != exact {
		t.Errorf("Marshal gives %s, %v", compared, err)
	}
	for _, more := range []string{`"wait_ns":1500000000`, `"sum":[1,2]`, `"even":false`,
		`"count":{"a":1,"b":2}`, `"until":"2025-10-08T12:00:00.5Z"`} {
		var v thing
		if err := Unmarshal([]byte(exact[:len(exact)-1]+","+more+"}"), &v); err != nil {
			t.Errorf("with %s: %v", more, err)
		}
	}
	if v.Name != "a<b>&ü" || v.Items[0].Size != 9007199254740993 || v.Time.Location() != time.UTC {
		t.Errorf("decoded %+v", v)
	}
}

func TestOneSpellingOnly(t *testing.T) {
	const head = `{"v":1,"name":`
	const start = head + `"","time":"2025-10-08T12:00:00Z","items":`
	for name, data := range map[string]string{
		"empty":               ``,
		"no object":           `[]`,
		"null":                `null`,
		"truncated":           exact[:len(exact)-1],
		"space":               `{"v": 1` + exact[6:],
		"leading space":       " " + exact,
		"line break after":    exact + "\n",
		"second value":        exact + `{}`,
		"byte order mark":     "\ufeff" + exact,
		"unknown key":         `{"v":1,"extra":2` + exact[6:],
		"key twice":           `{"v":1,"v":1` + exact[6:],
		"odd-case key":        `{"V":1` + exact[6:],
		"other order":         `{"name":"","v":1,"time":"2025-10-08T12:00:00Z","items":[]}`,
		"missing key":         `{"v":1}`,
		"escaped letter":      `{"v":1,"name":"\u0061","time":"2025-10-08T12:00:00Z","items":[]}`,
		"escaped angle":       `{"v":1,"name":"\u003c","time":"2025-10-08T12:00:00Z","items":[]}`,
		"escaped slash":       `{"v":1,"name":"\/","time":"2025-10-08T12:00:00Z","items":[]}`,
		"invalid UTF-8":       head + "\"\xff\"" + `,"time":"2025-10-08T12:00:00Z","items":[]}`,
		"lone surrogate":      `{"v":1,"name":"\ud800","time":"2025-10-08T12:00:00Z","items":[]}`,
		"leading zero":        `{"v":01` + exact[6:],
		"fraction":            `{"v":1.0` + exact[6:],
		"exponent":            `{"v":1e0` + exact[6:],
		"minus zero":          `{"v":-0` + exact[6:],
		"overflow":            `{"v":99999999999999999999` + exact[6:],
		"string for number":   `{"v":"1"` + exact[6:],
		"offset for Z":        `{"v":1,"name":"","time":"2025-10-08T12:00:00+00:00","items":[]}`,
		"trailing fraction":   `{"v":1,"name":"","time":"2025-10-08T12:00:00.500Z","items":[]}`,
		"base64 line break":   start + `[{"size":1,"key":"AQ\nI="}]}`,
		"base64 stray bits":   start + `[{"size":1,"key":"AQJ="}]}`,
		"empty optional":      start + `[],"note":""}`,
		"unknown key in item": start + `[{"size":1,"key":"","x":0}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			var v thing
			if err := Unmarshal([]byte(data), &v); !errors.Is(err, ErrNotExact) {
				t.Errorf("%v, want ErrNotExact", err)
			}
		})
	}
}

func TestMarshalReportsWhatCannotBeEncoded(t *testing.T) {
	if _, err := Marshal(make(chan int)); err == nil {
		t.Error("a channel was encoded")
	}
	if _, err := Marshal(thing{Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}); err == nil {
		t.Error("a time beyond the year 9999 was encoded")
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{exact, `{}`, `null`, exact + " ", `{"v":1,"v":2}`,
		`{"v":1,"name":"\u2028","time":"2025-10-08T12:00:00Z","items":null}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v thing
		if Unmarshal(data, &v) != nil {
			return
		}
		compared, err := Marshal(v)
		if err != nil || string(compared) != string(data) {
			t.Errorf("accepted %q, which encodes again as %q, %v", data, compared, err)
		}
	})
}

// Answers of a later version with more keys are understood; invalid JSON and other types are not.
func TestKnownKeysOfALaterVersion(t *testing.T) {
	var v thing
	data := `{"v":1,"later":{"a":[1]},"name":"a","wait_ns":5, ` +
		`"items":[{"size":2,"key":"AQI=","more":null}]}`
	if err := UnmarshalKnown([]byte(data), &v); err != nil || v.V != 1 || v.Name != "a" ||
		v.Wait != 5 || len(v.Items) != 1 || v.Items[0].Size != 2 {
		t.Errorf("%+v, %v", v, err)
	}
	for _, data := range []string{"", "{", `{"v":"1"}`, `{"v":1}{}`, `{"v":1,"v":2}`} {
		if err := UnmarshalKnown([]byte(data), &thing{}); err == nil {
			t.Errorf("%s was understood", data)
		}
	}
}
