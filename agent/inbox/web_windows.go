package inbox

import (
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

const (
	zoneStream = ":Zone.Identifier"
	zoneText   = "[ZoneTransfer]\r\nZoneId=3\r\n" // 3: the internet
)

// markFromElsewhere gives an open file the Mark of the Web. Windows asks before it runs such a
// file, Office opens it in protected view, and Explorer shows no preview. The mark is a stream of
// the file, opened relative to its handle. Volumes without streams get none.
func markFromElsewhere(f *os.File) error {
	name, err := windows.NewNTUnicodeString(zoneStream)
	if err != nil {
		return err
	}
	stream := windows.OBJECT_ATTRIBUTES{RootDirectory: windows.Handle(f.Fd()), ObjectName: name}
	stream.Length = uint32(unsafe.Sizeof(stream))
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	const options = windows.FILE_SYNCHRONOUS_IO_NONALERT | windows.FILE_NON_DIRECTORY_FILE
	var h windows.Handle
	var status windows.IO_STATUS_BLOCK
	err = windows.NtCreateFile(&h, windows.FILE_GENERIC_WRITE, &stream, &status, nil,
		windows.FILE_ATTRIBUTE_NORMAL, share, windows.FILE_OVERWRITE_IF, options, 0, 0)
	if err != nil {
		return nil
	}
	defer windows.CloseHandle(h) //nolint:errcheck // already written
	var written uint32
	return windows.WriteFile(h, []byte(zoneText), &written, nil)
}
