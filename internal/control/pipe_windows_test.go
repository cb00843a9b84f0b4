package control

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"sealpost/internal/access"
	"sealpost/internal/winetest"
)

// leaveSocket names a pipe that is not there, as a killed daemon leaves it.
func leaveSocket(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, pointerName),
		[]byte(pipePrefix+strings.Repeat("0", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPipeIsForThisAccountOnly(t *testing.T) {
	dir := shortDir(t)
	daemon(t, dir)
	path, err := readPointer(dir)
	if err != nil {
		t.Fatal(err)
	}
	if random := strings.TrimPrefix(path, pipePrefix); len(random) != 32 {
		t.Errorf("%s can be guessed", path)
	}
	d, err := windows.GetNamedSecurityInfo(path, windows.SE_KERNEL_OBJECT,
		windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		t.Skipf("SKIPPED: this Windows does not tell: %v", err)
	}
	if text := d.String(); strings.Contains(text, ";WD)") || strings.Contains(text, ";AN)") {
		t.Errorf("others are let in: %s", text)
	}
}

func TestNobodyElseGetsThePipesName(t *testing.T) {
	winetest.Lacks(t, "FILE_FLAG_FIRST_PIPE_INSTANCE")
	dir := shortDir(t)
	path, err := place(dir)
	if err != nil {
		t.Fatal(err)
	}
	first, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if second, err := listen(path); err == nil {
		second.Close()
		t.Error("a pipe of somebody else was joined")
	}
}

// A pipe has its maker as its owner. A pipe of another account cannot be made here: internal/access
// tests the refusal of owners.
func TestAPipeHasItsMakersOwner(t *testing.T) {
	dir := shortDir(t)
	daemon(t, dir)
	conn, err := connect(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	d, err := windows.GetSecurityInfo(windows.Handle(conn.(*pipeConn).Fd()), windows.SE_FILE_OBJECT,
		windows.OWNER_SECURITY_INFORMATION)
	if err != nil { // nothing is read after Fd, which ends deadlines
		t.Fatal(err)
	}
	account, err := access.Account()
	if err != nil {
		t.Fatal(err)
	}
	if owner, _, err := d.Owner(); err != nil || owner.String() != account {
		t.Errorf("owner %v, %v, want %s", owner, err, account)
	}
}

func TestAPointerThatIsNotBelieved(t *testing.T) {
	for name, text := range map[string]string{
		"a file": `C:\Windows\win.ini`, "another pipe": `\\.\pipe\other`, "a guess": pipePrefix +
			"1", "nothing": "", "too much": strings.Repeat("x", 1<<20),
	} {
		dir := shortDir(t)
		pointer := filepath.Join(dir, pointerName)
		if err := os.WriteFile(pointer, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Dial(dir).Call(t.Context(), "/greet", greeting{"x"}, nil); err == nil ||
			errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), pointer) {
			t.Errorf("%s: a client says %v", name, err)
		}
		daemon(t, dir)
		if err := Dial(dir).Call(t.Context(), "/greet", greeting{"x"}, nil); err != nil {
			t.Errorf("%s: the daemon cannot be asked: %v", name, err)
		}
	}
}

func TestClosingAPipeEndsAnAccept(t *testing.T) {
	path, err := place(shortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	l, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept ended with %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept on a closed pipe: %v", err)
	}
}

func TestDeadlineOfAPipe(t *testing.T) {
	path, err := place(shortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	l, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := server.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := server.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("reading ended with %v", err)
	}
}

// Many callers at once: each finds an instance, or waits for one.
func TestManyCallersOfOnePipe(t *testing.T) {
	dir := shortDir(t)
	daemon(t, dir)
	errs := make(chan error, 32)
	for range cap(errs) {
		go func() { errs <- Dial(dir).Call(t.Context(), "/greet", greeting{"x"}, nil) }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
