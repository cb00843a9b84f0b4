package envelope

import (
	"archive/tar"
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/statement"
)

const badEntry = statement.CodeEntryInvalid

// withPieces gives the one message of the envelope another content, which the sender signs.
func withPieces(pieces ...piece) func(testing.TB, *forgery) {
	return func(_ testing.TB, f *forgery) { f.pieces = pieces }
}

// aFolder makes the envelope that of a folder with this content, which the sender signs.
func aFolder(pieces ...piece) func(testing.TB, *forgery) {
	return func(t testing.TB, f *forgery) {
		*f = *forgeOf(t, f.w, pieces, message(1, "set", TypeFolder))
	}
}

// tower returns folders inside one another, with the message's own.
func tower(levels int) (pieces []piece) {
	path := "set"
	for range levels {
		pieces = append(pieces, contentDir(0, path))
		path += "/x"
	}
	return pieces
}

// twoFiles makes the envelope that of two files, a and b.
func twoFiles(bend func(pieces []piece) []piece) func(testing.TB, *forgery) {
	return func(t testing.TB, f *forgery) {
		pieces := []piece{content(0, "a", "aaa"), content(1, "b", "bbb")}
		*f = *forgeOf(t, f.w, bend(pieces), file(1, "a", ""), file(2, "b", ""))
	}
}

// inHeaderBlock bends the header block of data.csv and makes its checksum right again.
func inHeaderBlock(bend func(block []byte)) func(testing.TB, *forgery) {
	return func(_ testing.TB, f *forgery) {
		p := &f.pieces[0]
		p.header = appendHeader(nil, p.member)
		bend(p.header)
		rechecksum(p.header)
	}
}

func rechecksum(block []byte) {
	copy(block[148:156], "        ")
	sum := int64(0)
	for _, c := range block {
		sum += int64(c)
	}
	putOctal(block[148:155], sum)
}

func ofType(typ byte) func(testing.TB, *forgery) {
	return inHeaderBlock(func(block []byte) { block[156] = typ })
}

// withRecords puts PAX records before data.csv.
func withRecords(typ byte, records string) func(testing.TB, *forgery) {
	return func(_ testing.TB, f *forgery) {
		p := &f.pieces[0]
		block := appendPAXBlock(nil, "content/0/PaxHeaders.0/data.csv", int64(len(records)))
		block[156] = typ
		rechecksum(block)
		block = append(block, records...)
		block = append(block, zeros[:padding(int64(len(records)))]...)
		p.header = appendHeader(block, p.member)
	}
}

// byArchiveTar has data.csv's header written by Go's archive/tar.
func byArchiveTar(h tar.Header) func(testing.TB, *forgery) {
	return func(t testing.TB, f *forgery) {
		p := &f.pieces[0]
		h := h
		h.Name, h.Size, h.Mode = p.path, p.size, 0o644
		if h.ModTime.IsZero() {
			h.ModTime = time.Unix(p.mtime, 0)
		}
		var out bytes.Buffer
		if err := tar.NewWriter(&out).WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		p.header = out.Bytes()
	}
}

// sparseAs puts a header before data.csv that makes other readers see a file of a terabyte.
func sparseAs(records ...string) func(testing.TB, *forgery) {
	var all string
	for _, r := range records {
		key, value, _ := strings.Cut(r, "=")
		all += paxRecord(key, value)
	}
	return withRecords(typePAX, all)
}

// manglePieces bends the finished members after signing.
func manglePieces(bend func(all []piece) []piece) func(testing.TB, *forgery) {
	return func(_ testing.TB, f *forgery) { f.bendPieces = bend }
}

var hostileMembers = []hostile{
	{"a member of type NUL", 4, badEntry, ofType(0)},
	{"a hard link", 4, badEntry, ofType(tar.TypeLink)},
	{"a symbolic link", 4, badEntry, inHeaderBlock(func(b []byte) {
		b[156] = tar.TypeSymlink
		copy(b[157:], "/etc/passwd")
	})},
	{"a character device", 4, badEntry, ofType(tar.TypeChar)},
	{"a block device", 4, badEntry, ofType(tar.TypeBlock)},
	{"a named pipe", 4, badEntry, ofType(tar.TypeFifo)},
	{"a contiguous file", 4, badEntry, ofType(tar.TypeCont)},
	{"a GNU sparse file", 4, badEntry, ofType(tar.TypeGNUSparse)},
	{"a GNU long name", 4, badEntry, ofType(tar.TypeGNULongName)},
	{"a GNU long link", 4, badEntry, ofType(tar.TypeGNULongLink)},
	{"a GNU volume label", 4, badEntry, ofType('V')},
	{"a Solaris extended header", 4, badEntry, ofType('X')},
	{"a type that nobody knows", 4, badEntry, ofType('Z')},
	{"a file that calls itself a folder", 4, badEntry, ofType(tar.TypeDir)},
	{"a link's target in a file", 4, badEntry, inHeaderBlock(func(b []byte) {
		copy(b[157:], "/etc/passwd")
	})},
	{"an owner", 4, badEntry, byArchiveTar(tar.Header{Typeflag: tar.TypeReg, Uid: 1000})},
	{"a group", 4, badEntry, byArchiveTar(tar.Header{Typeflag: tar.TypeReg, Gid: 1000})},
	{"an owner's name", 4, badEntry,
		byArchiveTar(tar.Header{Typeflag: tar.TypeReg, Uname: "root"})},
	{"a group's name", 4, badEntry, byArchiveTar(tar.Header{Typeflag: tar.TypeReg, Gname: "root"})},
	{"a device's number", 4, badEntry, inHeaderBlock(func(b []byte) { putOctal(b[329:337], 7) })},
	{"the mode 0600", 4, badEntry, inHeaderBlock(func(b []byte) { putOctal(b[100:108], 0o600) })},
	{"the mode 4755", 4, badEntry, inHeaderBlock(func(b []byte) { putOctal(b[100:108], 0o4755) })},
	{"a mode with a file type", 4, badEntry, inHeaderBlock(func(b []byte) {
		putOctal(b[100:108], 0o100644)
	})},
	{"GNU's magic", 4, badEntry,
		byArchiveTar(tar.Header{Typeflag: tar.TypeReg, Format: tar.FormatGNU})},
	{"no magic", 4, badEntry, inHeaderBlock(func(b []byte) { clear(b[257:265]) })},
	{"a time before 1970", 4, badEntry,
		byArchiveTar(tar.Header{Typeflag: tar.TypeReg, Format: tar.FormatGNU,
			ModTime: time.Unix(-1, 0)})},
	{"a time with a fraction", 4, badEntry,
		byArchiveTar(tar.Header{Typeflag: tar.TypeReg, Format: tar.FormatPAX,
			ModTime: time.Unix(1, 500e6)})},
	{"a number in base 256", 4, badEntry, inHeaderBlock(func(b []byte) {
		clear(b[124:136])
		b[124] = 0x80
		b[135] = 8
	})},
	{"a number with spaces", 4, badEntry, inHeaderBlock(func(b []byte) {
		copy(b[124:136], "         10 ")
	})},
	{"a number without digits", 4, badEntry, inHeaderBlock(func(b []byte) { clear(b[136:148]) })},
	{"a wrong checksum", 4, badEntry, func(t testing.TB, f *forgery) {
		inHeaderBlock(func([]byte) {})(t, f)
		f.pieces[0].header[148] ^= 1
	}},
	{"a checksum in another spelling", 4, badEntry, func(t testing.TB, f *forgery) {
		inHeaderBlock(func([]byte) {})(t, f)
		copy(f.pieces[0].header[154:156], " \x00")
	}},
	{"bytes behind the name", 4, badEntry, inHeaderBlock(func(b []byte) { b[50] = 'x' })},
	{"bytes behind the header's fields", 4, badEntry, inHeaderBlock(func(b []byte) {
		b[511] = 'x'
	})},
	{"a path split without need", 4, badEntry, inHeaderBlock(func(b []byte) {
		clear(b[:100])
		copy(b, "data.csv")
		copy(b[345:], "content/0")
	})},
	{"a PAX header without need", 4, badEntry,
		withRecords(typePAX, paxRecord("path", "content/0/data.csv"))},
	{"a PAX path elsewhere", 4, badEntry,
		withRecords(typePAX, paxRecord("path", "content/0/"+strings.Repeat("x", 101)))},
	{"a PAX path upwards", 4, badEntry,
		withRecords(typePAX, paxRecord("path", "content/0/../../../etc/passwd"))},
	{"a PAX size", 4, badEntry, withRecords(typePAX, paxRecord("size", "8"))},
	{"a PAX size that differs", 4, badEntry, withRecords(typePAX, paxRecord("size", "1"))},
	{"a huge PAX size", 4, badEntry,
		withRecords(typePAX, paxRecord("size", "9223372036854775807"))},
	{"a negative PAX size", 4, badEntry, withRecords(typePAX, paxRecord("size", "-1"))},
	{"a PAX size beyond 63 bits", 4, badEntry,
		withRecords(typePAX, paxRecord("size", "99999999999999999999"))},
	{"a PAX time", 4, badEntry, withRecords(typePAX, paxRecord("mtime", "1.5"))},
	{"a PAX owner", 4, badEntry, withRecords(typePAX, paxRecord("uname", "root"))},
	{"a PAX link", 4, badEntry, withRecords(typePAX, paxRecord("linkpath", "/etc/passwd"))},
	{"a PAX comment", 4, badEntry, withRecords(typePAX, paxRecord("comment", "hello"))},
	{"a PAX extended attribute", 4, badEntry,
		withRecords(typePAX, paxRecord("SCHILY.xattr.user.x", "1"))},
	{"a global PAX header", 4, badEntry,
		withRecords(tar.TypeXGlobalHeader, paxRecord("path", "x"))},
	{"an empty PAX header", 4, badEntry, withRecords(typePAX, "")},
	{"a PAX header of a megabyte", 4, badEntry,
		withRecords(typePAX, paxRecord("path", strings.Repeat("x", 1<<20)))},
	{"a PAX header that claims to have 8 GiB", 4, badEntry, func(t testing.TB, f *forgery) {
		withRecords(typePAX, paxRecord("path", "x"))(t, f)
		putOctal(f.pieces[0].header[124:136], maxOctal-1)
		rechecksum(f.pieces[0].header[:blockSize])
	}},
	{"a PAX record without a length", 4, badEntry, withRecords(typePAX, "path=x\n")},
	{"a PAX record that is too long", 4, badEntry, withRecords(typePAX, "99 path=x\n")},
	{"a PAX record of length zero", 4, badEntry, withRecords(typePAX, "0 path=x\n")},
	{"a PAX record without a key", 4, badEntry, withRecords(typePAX, "5 =x\n")},
	{"a PAX path twice", 4, badEntry,
		withRecords(typePAX, paxRecord("path", "a")+paxRecord("path", "content/0/data.csv"))},
	{"two PAX headers", 4, badEntry, func(t testing.TB, f *forgery) {
		long := "content/0/" + strings.Repeat("é", 60)
		withRecords(typePAX, paxRecord("path", long))(t, f)
		once := appendHeader(nil, member{path: long})
		f.pieces[0].header = append(once[:len(once)-blockSize:len(once)-blockSize],
			f.pieces[0].header...)
	}},
	{"sparse as PAX 0.0", 4, badEntry, sparseAs("GNU.sparse.size=1099511627776",
		"GNU.sparse.numblocks=1", "GNU.sparse.offset=0", "GNU.sparse.numbytes=8")},
	{"sparse as PAX 0.1", 4, badEntry, sparseAs("GNU.sparse.map=0,8", "GNU.sparse.name=x",
		"GNU.sparse.size=1099511627776")},
	{"sparse as PAX 1.0", 4, badEntry, sparseAs("GNU.sparse.major=1", "GNU.sparse.minor=0",
		"GNU.sparse.name=x", "GNU.sparse.realsize=1099511627776")},
	{"larger than the envelope", 4, badEntry, func(_ testing.TB, f *forgery) {
		m := f.pieces[0].member
		m.size = 1 << 40
		f.pieces[0].header = appendHeader(nil, m)
	}},
	{"a body that is not followed by zeros", 4, badEntry, func(_ testing.TB, f *forgery) {
		p := &f.pieces[0]
		p.pad = make([]byte, padding(p.size))
		p.pad[len(p.pad)-1] = 1
	}},
	{"message.json is not followed by zeros", 4, badEntry, inHeadMember(func(p *piece) {
		p.pad = make([]byte, padding(p.size))
		p.pad[0] = 1
	})},

	{"no content", 4, badEntry, withPieces()},
	{"content under another number", 4, badEntry, withPieces(content(1, "data.csv", "x"))},
	{"content under a number with a zero", 4, badEntry,
		withPieces(piece{member: member{path: "content/00/data.csv", size: 1}, body: "x"})},
	{"content without a number", 4, badEntry,
		withPieces(piece{member: member{path: "content/data.csv", size: 1}, body: "x"})},
	{"content elsewhere", 4, badEntry,
		withPieces(piece{member: member{path: "data.csv", size: 1}, body: "x"})},
	{"an absolute path", 4, badEntry,
		withPieces(piece{member: member{path: "/etc/passwd", size: 1}, body: "x"})},
	{"an absolute path within", 4, badEntry, withPieces(content(0, "/etc/passwd", "x"))},
	{"a path upwards", 4, badEntry, aFolder(contentDir(0, "set"), content(0, "set/../../x", "x"))},
	{"a path with a dot", 4, badEntry, aFolder(contentDir(0, "set"), content(0, "set/./x", "x"))},
	{"a path with an empty component", 4, badEntry,
		aFolder(contentDir(0, "set"), content(0, "set//x", "x"))},
	{"a path with a slash at its end", 4, badEntry,
		aFolder(contentDir(0, "set"), contentDir(0, "set/x/"))},
	{"a path that is not UTF-8", 4, badEntry,
		aFolder(contentDir(0, "set"), content(0, "set/\xff", "x"))},
	{"a path with a NUL", 4, badEntry, aFolder(contentDir(0, "set"), content(0, "set/\x00é", "x"))},
	{"a path of more than 4096 bytes", 4, badEntry,
		aFolder(contentDir(0, "set"), content(0, "set/"+strings.Repeat("x", MaxPath), "x"))},
	{"a path of more than 256 components", 4, badEntry, aFolder(tower(MaxDepth + 1)...)},
	{"more entries than allowed", 4, statement.CodeTooLarge, func(t testing.TB, f *forgery) {
		aFolder(tower(4)...)(t, f)
		f.entries = 3
	}},
	{"another name", 4, badEntry, withPieces(content(0, "data.CSV", "x"))},
	{"a folder where a file was announced", 4, badEntry, withPieces(contentDir(0, "data.csv"))},
	{"a file where a folder was announced", 4, badEntry, aFolder(content(0, "set", "x"))},
	{"a folder with a body", 4, badEntry,
		aFolder(piece{member: member{path: "content/0/set", dir: true, size: 3}, body: "abc"})},
	{"a folder of mode 0644", 4, badEntry, func(t testing.TB, f *forgery) {
		aFolder(contentDir(0, "set"))(t, f)
		inHeaderBlock(func(b []byte) { putOctal(b[100:108], 0o644) })(t, f)
	}},
	{"a second file", 4, badEntry, withPieces(content(0, "data.csv", "x"),
		content(0, "more.csv", "y"))},
	{"the file twice", 4, badEntry, withPieces(content(0, "data.csv", "x"),
		content(0, "data.csv", "y"))},
	{"the folder's own entry is missing", 4, badEntry, aFolder(content(0, "set/x", "x"))},
	{"a parent is missing", 4, badEntry, aFolder(contentDir(0, "set"), content(0, "set/a/x", "x"))},
	{"a parent is a file", 4, badEntry, aFolder(contentDir(0, "set"), content(0, "set/a", "x"),
		content(0, "set/a/x", "x"))},
	{"a parent comes after its child", 4, badEntry,
		aFolder(contentDir(0, "set"), content(0, "set/a/x", "x"), contentDir(0, "set/a"))},
	{"an entry twice", 4, badEntry, aFolder(contentDir(0, "set"), content(0, "set/a", "x"),
		content(0, "set/a", "y"))},
	{"entries out of order", 4, badEntry, aFolder(contentDir(0, "set"), content(0, "set/b", "x"),
		content(0, "set/a", "y"))},
	{"an entry outside the folder", 4, badEntry,
		aFolder(contentDir(0, "set"), content(0, "settings", "x"))},
	{"messages out of order", 4, badEntry, twoFiles(func(p []piece) []piece {
		slices.Reverse(p)
		return p
	})},
	{"a message without content", 4, badEntry, twoFiles(func(p []piece) []piece { return p[:1] })},
	{"messages mixed up", 4, badEntry, twoFiles(func(p []piece) []piece {
		return []piece{p[0], p[1], p[0]}
	})},
	{"content behind the signature", 7, statement.CodeTrailingData,
		manglePieces(func(all []piece) []piece {
			return append(all, content(0, "more.csv", "x"))
		})},
	{"a member between content and signature", 4, badEntry, manglePieces(func(all []piece) []piece {
		return slices.Insert(all, 2, piece{member: member{path: "note.txt", size: 1}, body: "x"})
	})},
	{"the signature before the content", 4, badEntry, manglePieces(func(all []piece) []piece {
		all[1], all[2] = all[2], all[1]
		return all
	})},
	{"the signature in a folder", 4, badEntry, manglePieces(func(all []piece) []piece {
		all[2].path = "content/signature.jws"
		return all
	})},
	{"the signature can be executed", 4, badEntry, manglePieces(func(all []piece) []piece {
		all[2].exec = true
		return all
	})},
	{"a second message.json", 4, badEntry, manglePieces(func(all []piece) []piece {
		return slices.Insert(all, 1, all[0])
	})},
	{"no signature", 4, badEntry, manglePieces(func(all []piece) []piece { return all[:2] })},
	{"only message.json", 4, badEntry, func(_ testing.TB, f *forgery) {
		f.tail = nil
		f.bendPieces = func(all []piece) []piece { return all[:1] }
	}},
	{"an empty archive", 4, badEntry, func(_ testing.TB, f *forgery) {
		f.bendPlain = func([]byte) []byte { return zeros[:] }
	}},
	{"an archive that ends in a header", 4, badEntry, func(_ testing.TB, f *forgery) {
		f.bendPlain = func(p []byte) []byte { return p[:100] }
	}},
	{"an archive that ends in a body", 4, badEntry, func(_ testing.TB, f *forgery) {
		f.bendPlain = func(p []byte) []byte { return p[:600] }
	}},
	{"no plaintext at all", 4, badEntry, func(_ testing.TB, f *forgery) {
		f.bendPlain = func([]byte) []byte { return nil }
	}},
}
