package service

import (
	"testing"
	"time"
)

func TestStateAsSystemdShowsIt(t *testing.T) {
	for _, c := range []struct {
		name, shown                  string
		own                          bool
		installed, running, changing bool
		says                         string
	}{
		{"running",
			"LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n", true,
			true, true, false, "x: installed, running (active, running)"},
		{"starting",
			"LoadState=loaded\nActiveState=activating\nSubState=start\nUnitFileState=enabled\n",
			true, true, false, true, "x: installed, not serving now (activating, start)"},
		{"fails again and again",
			"LoadState=loaded\nActiveState=activating\nSubState=auto-restart\n" +
				"UnitFileState=enabled\n", true, true, false, true,
			"x: installed, not serving now (activating, auto-restart)"},
		{"failed", "LoadState=loaded\nActiveState=failed\nSubState=failed\nUnitFileState=enabled\n",
			true, true, false, false, "x: installed, not running (failed, failed)"},
		{"installed, not enabled",
			"LoadState=loaded\nActiveState=inactive\nSubState=dead\nUnitFileState=disabled\n", true,
			true, false, false, "x: installed, not running (inactive, dead)"},
		{"enabled from a package",
			"LoadState=loaded\nActiveState=inactive\nSubState=dead\nUnitFileState=enabled\n", false,
			true, false, false, "x: installed, not running (inactive, dead)"},
		{"only a template",
			"LoadState=loaded\nActiveState=inactive\nSubState=dead\nUnitFileState=disabled\n",
			false, false, false, false, "x: not installed as a service"},
		{"unknown", "LoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\n",
			false, false, false, false, "x: not installed as a service"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := readState(State{Service: "x"}, c.shown, c.own)
			if s.Installed != c.installed || s.Running != c.running || s.Changing != c.changing ||
				s.String() != c.says {
				t.Errorf("%+v: %s", s, s)
			}
		})
	}
}

func TestStateTellsWhatAnAdminAsksFor(t *testing.T) {
	const unit = "LoadState=loaded\nUnitFileState=enabled\nUser=sealpost\nMainPID=77\n" +
		"NRestarts=3\nExecStart={ path=/usr/bin/sealpost ; " +
		"argv[]=/usr/bin/sealpost agent run --dir /srv/the lab/FL ; ignore_errors=no ; " +
		"start_time=[n/a] ; pid=0 }\n"
	running := readState(State{Service: "x"},
		unit+"ActiveState=active\nSubState=running\nStatusText=serving\nResult=success\n"+
			"ActiveEnterTimestamp=Thu 2026-11-26 22:40:03 UTC\n", true)
	want := State{Service: "x", Installed: true, Running: true, Detail: "active, running",
		Boot: true, Folder: "/srv/the lab/FL", Account: "sealpost", Process: 77,
		Since: time.Date(2026, 11, 26, 22, 40, 3, 0, time.UTC), Restarts: 3, Says: "serving"}
	if running != want {
		t.Errorf("got  %+v\nwant %+v", running, want)
	}
	failing := readState(State{Service: "x"},
		unit+"ActiveState=activating\nSubState=auto-restart\nStatusText=disk full\n"+
			"Result=exit-code\nExecMainStatus=1\n", true)
	if failing.Failure != "exit-code, exit code 1" || failing.Says != "disk full" ||
		!failing.Since.IsZero() {
		t.Errorf("%+v", failing)
	}
}
