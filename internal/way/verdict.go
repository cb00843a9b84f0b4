package way

import (
	"sealpost/internal/reason"
	"sealpost/internal/shell"
)

// Verdict returns the reason of a fault, and the command that removes it.
func (f Fault) Verdict() reason.Verdict {
	switch f.Flaw {
	case Foreign:
		return reason.Verdict{Says: reason.New("way-foreign", "path", f.Path, "account", f.Who),
			Do: run("chown", "-h", "root", f.Path)}
	case GroupWrites:
		return reason.Verdict{Says: reason.New("way-group", "path", f.Path, "group", f.Who),
			Do: run("chmod", "g-w", f.Path)}
	case ListUserWrites:
		return reason.Verdict{Says: reason.New("way-list-user", "path", f.Path, "account", f.Who),
			Do: run("setfacl", "-m", "u:"+f.Who+":r-x", f.Path)}
	case ListGroupWrites:
		return reason.Verdict{Says: reason.New("way-list-group", "path", f.Path, "group", f.Who),
			Do: run("setfacl", "-m", "g:"+f.Who+":r-x", f.Path)}
	}
	return reason.Verdict{Says: reason.New("way-open", "path", f.Path),
		Do: run("chmod", "o-w", f.Path)}
}

func run(command ...string) reason.Reason {
	return reason.New("run", "command", shell.Join(command...))
}

// Refuse returns the error for a path that other accounts could replace.
func Refuse(path string, faults []Fault) error {
	var says, do []reason.Reason
	for _, f := range faults {
		v := f.Verdict()
		says, do = append(says, v.Says), append(do, v.Do)
	}
	return reason.Err("way-loose", "path", path, "faults", says, "commands", do)
}
