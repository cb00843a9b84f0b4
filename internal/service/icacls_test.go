package service

import (
	"slices"
	"testing"

	"sealpost/internal/reason"
)

func TestWhatIsTypedOnWindows(t *testing.T) {
	i := Installation{Instance: Instance{Kind: Agent, Name: "FL-LAB"}, Dir: `C:\lab`,
		State: `C:\lab\state`, Shared: []string{`C:\lab\out box`, `\\nas\in`}}
	for _, c := range []struct {
		name, user, group string
		commands          func(Installation) []reason.Reason
		want              []string
	}{
		{"an account", `LAB\svc`, `LAB\svc`, letAccountIn, []string{
			`icacls "C:\lab" /grant "LAB\svc:(OI)(CI)M"`,
			`icacls "C:\lab\out box" /grant "LAB\svc:(OI)(CI)M"`,
			`icacls "\\nas\in" /grant "LAB\svc:(OI)(CI)M"`,
			`icacls "C:\lab\state" /grant "LAB\svc:(OI)(CI)F" /T`,
			`sc.exe config "sealpost-agent@FL-LAB" obj= "LAB\svc" password= *   ` +
				"(or set the password in services.msc)",
		}},
		{"all people", "", "", letGroupIn,
			[]string{`icacls "C:\lab\out box" /grant "*S-1-5-32-545:(OI)(CI)M"`,
				`icacls "\\nas\in" /grant "*S-1-5-32-545:(OI)(CI)M"`}},
		{"people beside an account", `LAB\svc`, `LAB\svc`, letGroupIn,
			[]string{`icacls "C:\lab\out box" /grant "*S-1-5-32-545:(OI)(CI)M"`,
				`icacls "\\nas\in" /grant "*S-1-5-32-545:(OI)(CI)M"`}},
		{"a group", "", `LAB\scientists`, letGroupIn,
			[]string{`icacls "C:\lab\out box" /grant "LAB\scientists:(OI)(CI)M"`,
				`icacls "\\nas\in" /grant "LAB\scientists:(OI)(CI)M"`}},
		{"recovery", "", "", func(i Installation) []reason.Reason {
			return []reason.Reason{startAgain(i.Instance)}
		}, []string{`sc.exe failureflag "sealpost-agent@FL-LAB" 1`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			i.User, i.Group = c.user, c.group
			if got := texts(c.commands(i)); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// texts returns reasons as English lines.
func texts(reasons []reason.Reason) (lines []string) {
	for _, r := range reasons {
		lines = append(lines, r.String())
	}
	return lines
}
