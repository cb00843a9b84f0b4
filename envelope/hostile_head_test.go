package envelope

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/strictjson"
	"sealpost/statement"
)

// inHead bends message.json as a structure, which the sender then signs.
func inHead(bend func(h *Head)) func(testing.TB, *forgery) {
	return func(_ testing.TB, f *forgery) { bend(&f.head) }
}

// inJSON bends message.json as text, which the sender then signs.
func inJSON(old, new string) func(testing.TB, *forgery) {
	return func(t testing.TB, f *forgery) {
		data, err := strictjson.Marshal(f.head)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(data, []byte(old)) {
			t.Fatalf("%s is not in %s", old, data)
		}
		f.rawHead = bytes.Replace(data, []byte(old), []byte(new), 1)
	}
}

// inHeadMember bends the member that holds message.json, and not its text.
func inHeadMember(bend func(*piece)) func(testing.TB, *forgery) {
	return func(_ testing.TB, f *forgery) {
		f.bendPieces = func(all []piece) []piece { bend(&all[0]); return all }
	}
}

const (
	badHead  = statement.CodeMetadataInvalid
	mismatch = statement.CodeMetadataMismatch
)

var someHash = id.Hash(strings.Repeat("ab", 32))

var hostileHeads = []hostile{
	{"message.json is missing", 3, badHead, func(_ testing.TB, f *forgery) {
		f.bendPieces = func(all []piece) []piece { return all[1:] }
	}},
	{"message.json is not the first", 3, badHead, func(_ testing.TB, f *forgery) {
		f.bendPieces = func(all []piece) []piece { all[0], all[1] = all[1], all[0]; return all }
	}},
	{"message.json has another name", 3, badHead, inHeadMember(func(p *piece) {
		p.path = "Message.json"
	})},
	{"message.json can be executed", 3, badHead, inHeadMember(func(p *piece) { p.exec = true })},
	{"message.json has a time", 3, badHead, inHeadMember(func(p *piece) { p.mtime = 1 })},
	{"message.json is a folder", 3, badHead, inHeadMember(func(p *piece) {
		p.dir, p.size, p.body = true, 0, ""
	})},
	{"message.json is empty", 3, badHead, inHeadMember(func(p *piece) { p.size, p.body = 0, "" })},
	{"message.json of more than 1 MiB", 3, statement.CodeTooLarge, inHeadMember(func(p *piece) {
		p.body += strings.Repeat(" ", maxHead)
		p.size = int64(len(p.body))
	})},
	{"not JSON", 3, badHead, inJSON(`{"v":1`, `<v>1`)},
	{"a version of the future", 3, badHead, inHead(func(h *Head) { h.V = 2 })},
	{"an unknown key", 3, badHead, inJSON(`{"v":1`, `{"v":1,"x":1`)},
	{"a double key", 3, badHead, inJSON(`{"v":1`, `{"v":1,"v":1`)},
	{"a double key of another case", 3, badHead,
		inJSON(`"sender_id":"FL-LAB",`, `"sender_id":"FL-LAB","Sender_id":"FL-LAB",`)},
	{"an odd-case key", 3, badHead, inJSON(`"envelope_id"`, `"Envelope_ID"`)},
	{"keys in another order", 3, badHead, inJSON(`{"v":1,`, `{`)},
	{"white space", 3, badHead, inJSON(`{"v":1`, `{"v": 1`)},
	{"a line's end behind it", 3, badHead, inJSON(`]}`, "]}\n")},
	{"a byte order mark", 3, badHead, inJSON(`{"v"`, "\ufeff{\"v\"")},
	{"a second document behind it", 3, badHead, inJSON(`"}]}`, `"}]}{}`)},
	{"a number in another form", 3, badHead, inJSON(`"v":1`, `"v":1.0`)},
	{"an escape without need", 3, badHead, inJSON(`data.csv`, `d\u0061ta.csv`)},
	{"a name that is not UTF-8", 3, badHead, inJSON(`data.csv`, "data\xff.csv")},
	{"half a surrogate pair", 3, badHead, inJSON(`data.csv`, `\ud800`)},
	{"an empty name", 3, badHead, inHead(func(h *Head) { h.Messages[0].Content.Name = "" })},
	{"a name with a slash", 3, badHead, inHead(func(h *Head) {
		h.Messages[0].Content.Name = "a/b"
	})},
	{"a name that leads upwards", 3, badHead, inHead(func(h *Head) {
		h.Messages[0].Content.Name = ".."
	})},
	{"a name with a NUL", 3, badHead, inHead(func(h *Head) {
		h.Messages[0].Content.Name = "a\x00b"
	})},
	{"a name of more than 1024 bytes", 3, badHead, inHead(func(h *Head) {
		h.Messages[0].Content.Name = strings.Repeat("x", MaxName+1)
	})},
	{"a type that does not exist", 3, badHead, inHead(func(h *Head) {
		h.Messages[0].Content.Type = "link"
	})},
	{"a fingerprint key of 31 bytes", 3, badHead, func(t testing.TB, f *forgery) {
		key, _ := f.head.Messages[0].FingerprintKey.MarshalText()
		inJSON(string(key), string(key[:42]))(t, f)
	}},
	{"a fingerprint key of zeros", 3, badHead, inHead(func(h *Head) {
		h.Messages[0].FingerprintKey = FingerprintKey{}
	})},
	{"a fingerprint key in another spelling", 3, badHead, func(t testing.TB, f *forgery) {
		key, _ := f.head.Messages[0].FingerprintKey.MarshalText()
		inJSON(string(key), string(key)+"=")(t, f)
	}},
	{"a time that is not UTC", 3, badHead, inHead(func(h *Head) {
		h.Messages[0].Sent = h.Messages[0].Sent.In(time.FixedZone("", 2*3600))
	})},
	{"no time", 3, badHead, inHead(func(h *Head) { h.Messages[0].Sent = time.Time{} })},
	{"no messages", 3, badHead, inHead(func(h *Head) { h.Messages = nil })},
	{"257 messages", 3, badHead, inHead(func(h *Head) {
		for n := int64(2); len(h.Messages) <= MaxMessages; n++ {
			m := h.Messages[0]
			m.ID, m.UID = id.FormatMessage("FL-LAB", "DAT", m.Sent, n), id.Random128[id.UID]()
			h.Messages = append(h.Messages, m)
		}
	})},
	{"a message twice", 3, badHead, inHead(func(h *Head) {
		h.Messages = append(h.Messages, h.Messages[0])
	})},
	{"a uid twice", 3, badHead, inHead(func(h *Head) {
		m := h.Messages[0]
		m.ID = id.FormatMessage("FL-LAB", "DAT", m.Sent, 2)
		h.Messages = append(h.Messages, m)
	})},
	{"a folder among several", 3, badHead, inHead(func(h *Head) {
		m := h.Messages[0]
		m.ID, m.UID, m.Content.Type = id.FormatMessage("FL-LAB", "DAT", m.Sent, 2),
			id.Random128[id.UID](), TypeFolder
		h.Messages = append(h.Messages, m)
	})},
	{"a message of another site", 3, badHead, inHead(func(h *Head) {
		h.Messages[0].Sender = "PA-LAB"
	})},
	{"a message id of another site", 3, badHead, inHead(func(h *Head) {
		h.Messages[0].ID = "PA-LAB_DAT_20251008_001"
	})},
	{"a malformed message id", 3, badHead, inHead(func(h *Head) {
		h.Messages[0].ID = "FL-LAB_DAT_20251308_001"
	})},
	{"a malformed uid", 3, badHead, inHead(func(h *Head) {
		h.Messages[0].UID = "../../../../etc/passwd"
	})},
	{"a malformed sender", 3, badHead, inHead(func(h *Head) { h.Sender = "fl-lab" })},
	{"both a routing key and sites", 3, badHead, inHead(func(h *Head) {
		h.To = []id.Site{"CA-RC", "SF-RC"}
	})},
	{"neither a routing key nor sites", 3, badHead, inHead(func(h *Head) { h.RoutingKey = "" })},
	{"no recipients", 3, badHead, inHead(func(h *Head) { h.Recipients = nil })},
	{"a recipient twice", 3, badHead, inHead(func(h *Head) {
		h.Recipients[1].Site = h.Recipients[0].Site
	})},
	{"a recipient's key twice", 3, badHead, inHead(func(h *Head) {
		h.Recipients[1].Key = h.Recipients[0].Key
	})},
	{"recipients out of order", 3, badHead, inHead(func(h *Head) { slices.Reverse(h.Recipients) })},
	{"65 recipients", 3, badHead, inHead(func(h *Head) {
		for len(h.Recipients) <= MaxRecipients {
			h.Recipients = append(h.Recipients,
				HeadRecipient{Site: id.Site("Z" + strings.Repeat("Z", len(h.Recipients)%31)),
					Key: someHash})
		}
	})},
	{"another network", 3, mismatch, inHead(func(h *Head) { h.Network = someHash })},
	{"forwarded to a site that it does not name", 3, statement.CodeNotForMe, inHead(func(h *Head) {
		h.Recipients[0].Site = "BA-RC"
	})},
	{"another key beside this site", 3, mismatch, inHead(func(h *Head) {
		h.Recipients[0].Key = someHash
	})},
	{"fewer stanzas than recipients", 3, mismatch, func(t testing.TB, f *forgery) {
		f.to = f.to[:1]
	}},
	{"more stanzas than recipients", 3, mismatch, func(t testing.TB, f *forgery) {
		f.to = append(f.to, f.to[1])
	}},
	{"published by another site", 3, mismatch, func(t testing.TB, f *forgery) {
		f.want.Sender = "PA-LAB"
		f.want.Messages = []ExpectMessage{{ID: "PA-LAB_DAT_20251008_001",
			UID: f.head.Messages[0].UID}}
	}},
	{"another envelope id", 3, mismatch, inHead(func(h *Head) {
		h.Envelope = id.Random128[id.Envelope]()
	})},
	{"another routing key", 3, mismatch, inHead(func(h *Head) { h.RoutingKey = "fl-lab.rpt" })},
	{"sites instead of a routing key", 3, mismatch, inHead(func(h *Head) {
		h.RoutingKey, h.To = "", []id.Site{"CA-RC", "SF-RC"}
	})},
	{"another uid", 3, mismatch, inHead(func(h *Head) {
		h.Messages[0].UID = id.Random128[id.UID]()
	})},
	{"another message id", 3, mismatch, inHead(func(h *Head) {
		h.Messages[0].ID = "FL-LAB_DAT_20251008_999"
	})},
	{"a message more than announced", 3, mismatch, inHead(func(h *Head) {
		m := h.Messages[0]
		m.ID, m.UID = id.FormatMessage("FL-LAB", "DAT", m.Sent, 2), id.Random128[id.UID]()
		h.Messages = append(h.Messages, m)
	})},
	{"a message less than announced", 3, mismatch, func(_ testing.TB, f *forgery) {
		f.want.Messages = append(f.want.Messages, ExpectMessage{ID: "FL-LAB_DAT_20251008_002",
			UID: id.Random128[id.UID]()})
	}},
	{"two messages in more than 1 MiB", 3, statement.CodeTooLarge, func(t testing.TB, f *forgery) {
		*f = *forgeOf(t, f.w, []piece{content(0, "a", strings.Repeat("x", MaxShared)),
			content(1, "b", "")}, file(1, "a", ""), file(2, "b", ""))
	}},
}
