package systemd

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The package has its files with the right owners and modes, and its scripts are sound shell.
func TestPackage(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: builds the package")
	}
	needs(t, "dpkg-deb", "make", "gzip", "git")
	deb := makeDeb(t, "0.0.3")
	t.Cleanup(func() { os.Remove(deb) })
	list := dpkgDeb(t, "--contents", deb)
	for _, want := range []string{
		`-rwxr-xr-x root/root .* \./usr/bin/sealpost$`,
		`-rw-r--r-- root/root .* \./usr/lib/systemd/system/sealpost-hub@\.service$`,
		`-rw-r--r-- root/root .* \./usr/lib/systemd/system/sealpost-agent@\.service$`,
		`\./usr/share/man/man1/sealpost-agent-join\.1\.gz$`,
		`\./usr/share/bash-completion/completions/sealpost$`,
		`\./usr/share/zsh/vendor-completions/_sealpost$`,
		`\./usr/share/fish/vendor_completions\.d/sealpost\.fish$`,
		`\./usr/share/doc/sealpost/examples/hub\.toml$`,
		`\./usr/share/doc/sealpost/examples/agent\.toml$`,
		`\./usr/share/doc/sealpost/copyright$`,
		`\./usr/share/doc/sealpost/CHANGELOG\.md\.gz$`,
		`\./usr/share/doc/sealpost/third-party-licences\.gz$`,
	} {
		if !regexp.MustCompile("(?m)" + want).MatchString(list) {
			t.Errorf("the package has no %s\n%s", want, list)
		}
	}
	foreign := regexp.MustCompile(`(?m)^.{10} (?:[^r]|r[^o]).*$`)
	if strange := foreign.FindString(list); strange != "" {
		t.Errorf("not root's: %s", strange)
	}
	fields := dpkgDeb(t, "--field", deb)
	for _, want := range []string{
		"Package: sealpost\n", "Version: 0.0.3\n", "Depends: adduser\n", "Suggests: acl\n",
	} {
		if !strings.Contains(fields, want) {
			t.Errorf("no %q in\n%s", want, fields)
		}
	}
	dir := t.TempDir()
	dpkgDeb(t, "--raw-extract", deb, dir)
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		out, err := exec.Command("sh", "-n", dir+"/DEBIAN/"+script).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
	if out, err := exec.Command(dir+"/usr/bin/sealpost", "version").CombinedOutput(); err != nil ||
		!strings.HasPrefix(string(out), "sealpost ") {
		t.Errorf("the packaged program says %s, %v", out, err)
	}
}

func dpkgDeb(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("dpkg-deb", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("dpkg-deb %v: %v\n%s", args, err, out)
	}
	return string(out)
}
