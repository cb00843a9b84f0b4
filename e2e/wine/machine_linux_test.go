package wine

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// machine is a Windows of its own: a fresh registry and a drive C:.
type machine struct {
	t      *testing.T
	root   string // the folder of chroot.sh; empty: wine is a program of this machine
	wine   string
	folder string // of the machine, on this one
}

const installed = `C:\Program Files\sealpost\sealpost.exe`

// manifest asks for administrator's rights, which Wine then gives.
const manifest = `<assembly xmlns="urn:schemas-microsoft-com:asm.v1" manifestVersion="1.0">` +
	`<trustInfo xmlns="urn:schemas-microsoft-com:asm.v3">` + "\n" +
	`<security><requestedPrivileges>` +
	`<requestedExecutionLevel level="requireAdministrator" uiAccess="false"/>` +
	`</requestedPrivileges></security></trustInfo></assembly>`

// windows sets a machine up, or skips the test with the reason. The functions of before prepare its
// folder before its first boot.
func windows(t *testing.T, before ...func(*machine)) *machine {
	t.Helper()
	wine := os.Getenv("SEALPOST_WINE")
	info, err := os.Stat(wine)
	if wine == "" || err != nil {
		t.Skip("SKIPPED: no Wine; SEALPOST_WINE names a program, " +
			"or a folder that e2e/wine/chroot.sh has made")
	}
	m := &machine{t: t, wine: wine, folder: t.TempDir()}
	if info.IsDir() {
		if os.Geteuid() != 0 {
			t.Skip("SKIPPED: only root may enter a folder as a system of its own")
		}
		m.root, m.wine = wine, "/usr/lib/wine/wine64"
	}
	t.Cleanup(func() { m.end() })
	if out, err := m.start("wineboot", "-i").CombinedOutput(); err != nil {
		t.Fatalf("wineboot: %v\n%s", err, out)
	}
	for _, prepare := range before {
		prepare(m)
		m.off()
	}
	m.put(installed, build(t, "windows", "sealpost"))
	must(t, os.WriteFile(m.path(installed+".manifest"), []byte(manifest), 0o644))
	m.put(`C:\holder.exe`, build(t, "windows", "sealpost/e2e/wine/holder"))
	// A machine on which nothing runs is switched off, and boots again for the next program.
	t.Cleanup(m.hold("read", "rwd", `C:\holder.exe`))
	return m
}

// start prepares a program of the machine. Its process is the Windows process itself, so that
// a kill ends it.
func (m *machine) start(program string, args ...string) *exec.Cmd {
	return m.outside(append([]string{m.wine, program}, args...)...)
}

// outside prepares a program of the system around the machine, such as Wine itself.
func (m *machine) outside(command ...string) *exec.Cmd {
	prefix := filepath.Join(m.folder, "prefix")
	if m.root != "" {
		prefix = "/machine/prefix"
		command = append([]string{"unshare", "-m", "./enter.sh", m.root, m.folder}, command...)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "WINEPREFIX="+prefix, "WINEDEBUG=-all", "LC_ALL=C.UTF-8",
		"HOME=/", "PATH=/usr/lib/wine:/usr/sbin:/usr/bin:/sbin:/bin",
		"WINEDLLOVERRIDES=mscoree=;mshtml=;winemenubuilder.exe=d") // nothing that has windows
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// end ends all programs of the machine. It returns once Wine has written its registry and has left
// the folder.
func (m *machine) end() {
	if out, err := m.start("wineboot", "-k", "-f").CombinedOutput(); err != nil {
		m.t.Logf("wineboot -k: %v\n%s", err, out)
	}
	m.off()
}

// off waits until the machine, on which nothing runs any more, is switched off.
func (m *machine) off() {
	server := "wineserver"
	if m.root != "" {
		server = "/usr/lib/wine/wineserver64"
	}
	if out, err := m.outside(server, "-w").CombinedOutput(); err != nil {
		m.t.Errorf("wineserver -w: %v\n%s", err, out)
	}
}

// path returns the path on this machine of a path of drive C:.
func (m *machine) path(windows string) string {
	return filepath.Join(m.folder, "prefix", "drive_c",
		filepath.FromSlash(strings.ReplaceAll(strings.TrimPrefix(windows, `C:\`), `\`, "/")))
}

// put copies a file to the machine.
func (m *machine) put(windows, from string) {
	m.t.Helper()
	data, err := os.ReadFile(from)
	must(m.t, err)
	must(m.t, os.MkdirAll(filepath.Dir(m.path(windows)), 0o755))
	must(m.t, os.WriteFile(m.path(windows), data, 0o755))
}

// try carries out a command line of sealpost.
func (m *machine) try(args ...string) (output string, code int) {
	m.t.Helper()
	cmd := m.start(installed, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// sealpost carries out a command line that must succeed.
func (m *machine) sealpost(args ...string) string {
	m.t.Helper()
	out, code := m.try(args...)
	if code != 0 {
		m.t.Fatalf("sealpost %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// shareOf is where the share \\nas\lab lies on this machine.
func (m *machine) shareOf() string {
	return filepath.Join(m.folder, "prefix", "dosdevices", "unc", "nas", "lab")
}

// connectShare makes the share \\nas\lab, and connects it as the drive N:, which the machine knows
// once it has booted.
func connectShare(m *machine) {
	m.t.Helper()
	must(m.t, os.MkdirAll(m.shareOf(), 0o755))
	must(m.t, os.Symlink("unc/nas/lab", filepath.Join(m.folder, "prefix", "dosdevices", "n:")))
	add := m.start("reg", "add", `HKLM\Software\Wine\Drives`, "/v", "n:", "/d", "network")
	if out, err := add.CombinedOutput(); err != nil {
		m.t.Fatalf("reg add: %v\n%s", err, out)
	}
}

// hold lets another program open a file until letGo is called.
func (m *machine) hold(mode, share, path string) (letGo func()) {
	m.t.Helper()
	cmd := m.start(`C:\holder.exe`, mode, share, path)
	in, err := cmd.StdinPipe()
	must(m.t, err)
	out, err := cmd.StdoutPipe()
	must(m.t, err)
	must(m.t, cmd.Start())
	if _, err := io.ReadFull(out, make([]byte, len("open"))); err != nil {
		m.t.Fatalf("holder: %v", errors.Join(err, cmd.Wait()))
	}
	return func() { must(m.t, errors.Join(in.Close(), cmd.Wait())) }
}
