//go:build unix

package service

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the packages' units anew")

// packaged is the installation that a package's template unit describes.
func packaged(kind string) Installation {
	dir := stateRoot + "/" + anyInstance
	return Installation{
		Instance: Instance{Kind: kind, Name: anyInstance}, Program: "/usr/bin/sealpost", Dir: dir,
		State: dir + "/state",
		User:  packageUser, Group: packageUser,
	}
}

// The units of the packages equal install's, for any instance.
func TestPackagedUnits(t *testing.T) {
	for _, kind := range []string{Hub, Agent} {
		t.Run(kind, func(t *testing.T) {
			want, err := Unit(packaged(kind))
			if err != nil {
				t.Fatal(err)
			}
			path := "../../packaging/systemd/sealpost-" + kind + "@.service"
			if *update {
				if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != want {
				t.Errorf("%s is not what the program makes; run: go test ./internal/service -run "+
					"TestPackagedUnits -update", path)
			}
			if left := regexp.MustCompile(`%[^it]|<no value>`).FindString(want); left != "" {
				t.Errorf("the unit has %q in it", left)
			}
		})
	}
}

// lab is an agent whose tray lies elsewhere.
func lab(dir string, shared ...string) Installation {
	return Installation{
		Instance: Instance{Kind: Agent, Name: "FL-LAB"}, Program: "/usr/bin/sealpost", Dir: dir,
		State:  dir + "/state",
		Shared: shared, User: "sealpost", Group: "lab",
	}
}

func TestUnitGrantsTheFoldersAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		name string
		i    Installation
		want []string
		not  []string
	}{
		{"the package's place", lab("/var/lib/sealpost/FL-LAB"),
			[]string{"StateDirectory=sealpost/FL-LAB", "ProtectHome=yes", "User=sealpost",
				"Group=lab", "AmbientCapabilities=CAP_LEASE", "UMask=0007"},
			[]string{"ReadWritePaths", "BindPaths", "RequiresMountsFor", "ExecReload"}},
		{"trays inside", lab("/srv/fl", "/srv/fl/outbox", "/srv/fl/sending"),
			[]string{"ReadWritePaths=/srv/fl", "RequiresMountsFor=/srv/fl"},
			[]string{"/srv/fl/outbox", "StateDirectory"}},
		{"trays elsewhere", lab("/srv/fl", "/data/tray"),
			[]string{"ReadWritePaths=/data/tray", "ReadWritePaths=/srv/fl",
				"RequiresMountsFor=/data/tray /srv/fl"}, []string{"BindPaths"}},
		{"in a home", lab("/srv/fl", "/home/ann/tray", "/srv/fl-2"),
			[]string{"ProtectHome=tmpfs", "BindPaths=/home/ann/tray", "ReadWritePaths=/srv/fl",
				"ReadWritePaths=/srv/fl-2"}, nil},
		{"odd names", lab(`/srv/50% $of "it`),
			[]string{`ReadWritePaths="/srv/50%% $of \"it"`,
				`ExecStart=/usr/bin/sealpost agent run --dir "/srv/50%% $$of \"it"`}, nil},
		{"a hub", Installation{Instance: Instance{Kind: Hub, Name: "DC-HQ"},
			Program: "/usr/bin/sealpost", Dir: "/srv/h q", State: "/srv/h q/state"},
			[]string{`ExecStart=/usr/bin/sealpost hub run --dir "/srv/h q"`,
				`ExecReload=/usr/bin/sealpost hub reload --dir "/srv/h q"`}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			unit, err := Unit(c.i)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(unit, "\n")
			for _, want := range c.want {
				if !slices.Contains(lines, want) {
					t.Errorf("no line %s", want)
				}
			}
			for _, not := range c.not {
				if strings.Contains(unit, not) {
					t.Errorf("%s is there", not)
				}
			}
		})
	}
}

func TestProgramInAHomeIsBound(t *testing.T) {
	i := lab("/srv/fl")
	i.Program = "/root/bin/sealpost"
	unit, err := Unit(i)
	if err != nil || !strings.Contains(unit, "\nBindReadOnlyPaths=/root/bin/sealpost\n") ||
		!strings.Contains(unit, "\nProtectHome=tmpfs\n") {
		t.Errorf("%v\n%s", err, unit)
	}
}

func TestInstallationsThatCannotBe(t *testing.T) {
	bad := map[string]func(*Installation){
		`no name for a service`:     func(i *Installation) { i.Name = "FL LAB" },
		`not an absolute path`:      func(i *Installation) { i.Dir = "lab" },
		`"tray" is not an absolute`: func(i *Installation) { i.Shared = []string{"tray"} },
		`has a line break`:          func(i *Installation) { i.State = "/srv/a\nUser=root" },
	}
	for want, spoil := range bad {
		i := lab("/srv/fl")
		spoil(&i)
		if err := i.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := lab("/srv/fl", `/data/tray`).Check(); err != nil {
		t.Error(err)
	}
	if _, err := Unit(lab("/home/ann/a:b")); err == nil || !strings.Contains(err.Error(), "colon") {
		t.Errorf("a bind with a colon: %v", err)
	}
}

func TestOutermost(t *testing.T) {
	got := outermost([]string{"/b/c", "/b-2", "/a", "/b", "/a/x/y", "/b"})
	if want := []string{"/a", "/b", "/b-2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := outermost([]string{filepath.Clean("/"), "/a"}); !slices.Equal(got, []string{"/"}) {
		t.Errorf("got %v", got)
	}
}
