package service

import (
	"strings"
	"testing"
)

// session has Z: connected, X: connected to an unknown share, and S: made with subst.
type session struct{}

func (session) isRemote(root string) bool { return root == `Z:\` || root == `X:\` }
func (session) share(letter string) string {
	if letter == "Z:" {
		return `\\nas\lab`
	}
	return ""
}
func (session) isSubstitute(letter string) bool { return letter == "S:" }

func TestDrivesThatAServiceDoesNotSee(t *testing.T) {
	for _, c := range []struct{ name, path, want string }{
		{"local", `C:\lab\tray`, ""},
		{"share", `\\nas\lab\tray`, ""},
		{"long form of a share", `\\?\UNC\nas\lab`, ""},
		{"mapped", `z:\tray\FL`, `write \\nas\lab\tray\FL instead`},
		{"mapped to an unknown share", `X:\tray`, `write \\SERVER\SHARE\tray instead`},
		{"long form of a mapped one", `\\?\Z:\tray\FL`, `write \\nas\lab\tray\FL instead`},
		{"as a device", `\\.\z:\tray`, `write \\nas\lab\tray instead`},
		{"subst", `S:\tray`, "subst"},
		{"short", `C`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := checkDrive(c.path, session{})
			if (err == nil) != (c.want == "") {
				t.Fatalf("got %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestSeverityIsTheLogsOwn(t *testing.T) {
	for line, want := range map[string]severity{
		`time=2025-10-08T00:00:00Z level=ERROR msg=x`:              failure,
		`time=2025-10-08T00:00:00Z level=ERROR+2 msg=x`:            failure,
		`time=2025-10-08T00:00:00Z level=WARN msg=x`:               warning,
		`time=2025-10-08T00:00:00Z level=INFO msg="level=ERROR x"`: information,
		`no level`: information,
	} {
		if got := severityOf(line); got != want {
			t.Errorf("%s: got %d, want %d", line, got, want)
		}
	}
}
