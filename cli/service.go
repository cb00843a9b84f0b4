package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"sealpost/config"
	"sealpost/internal/control"
	"sealpost/internal/reason"
	"sealpost/internal/service"
)

const installHelp = `Make %[1]s a service that starts with the machine, is watched, and is started
again when it fails. The folder must have been set up before. Nothing is started
yet, and repeating it renews the service.

Several instances stand side by side; each has a name, which is that in its
configuration unless --name says another. On Linux the service runs as the
account "sealpost" unless --user names another, and nothing but its folders is
open to it. Where other accounts could replace one of the folders, nothing is
changed, and the reason and the remedy are said.%[2]s`

const installAgentHelp = `
The folders that people use belong to the group --group: put those who drop and
take files into it.`

// serviceTarget is the service a command line means.
type serviceTarget struct{ kind, name, dir string }

func (s *serviceTarget) flags(cmd *cobra.Command) {
	dirFlag(cmd, s.kind)
	cmd.Flags().StringVar(&s.name, "name", "",
		"the name of the service among those of this machine (default the name in the "+
			"configuration)")
}

// instance returns the service, by --name, its folder or its configuration.
func (s *serviceTarget) instance() (service.Instance, error) {
	if name := s.known(); name != "" {
		return named(s.kind, name)
	}
	name, err := s.configured()
	if err != nil {
		return service.Instance{}, whichService(err)
	}
	n, err := named(s.kind, name)
	if err == nil {
		err = s.serves(n)
	}
	return n, err
}

// known returns the name on the command line, or of the service that serves the folder. It returns
// "" if there is none.
func (s *serviceTarget) known() string {
	if s.name != "" {
		return s.name
	}
	of, _ := service.Of(s.kind, absolute(s.dir)) //nolint:errcheck // the command returns it
	return of.Name
}

func whichService(err error) error {
	return fmt.Errorf("which service is meant? Name it with --name, or its folder with --dir: %w",
		err)
}

func named(kind, name string) (service.Instance, error) {
	n := service.Instance{Kind: kind, Name: name}
	if err := n.Check(); err != nil {
		return n, &usageError{err}
	}
	return n, nil
}

// serves refuses a service that serves another folder. The author of the configuration in this
// folder must not choose the service of another one.
func (s *serviceTarget) serves(n service.Instance) error {
	state, err := service.Ask(n)
	if err != nil || state.Folder == "" {
		return nil // the command itself reports the error
	}
	served, err := os.Stat(state.Folder)
	if own, failed := os.Stat(s.dir); err == nil && failed == nil && os.SameFile(own, served) {
		return nil
	}
	return fmt.Errorf("%s serves %s, and not %s: if it is meant, name it with --name %s",
		n.Service(), state.Folder, absolute(s.dir), n.Name)
}

func (s *serviceTarget) configured() (string, error) {
	if s.kind == service.Hub {
		cfg, err := loadHub(s.dir)
		return cfg.Name, err
	}
	cfg, err := loadAgent(s.dir)
	return cfg.Site, err
}

// serviceCommands are install, uninstall, start, stop and restart of one kind of daemon.
func serviceCommands(kind string) []*cobra.Command {
	the := "the " + kind
	return []*cobra.Command{
		installCommand(kind),
		serviceCommand(kind, "uninstall", "Stop the service of "+the+
			" and remove it; folders, keys and files stay", "is no service any more",
			service.Uninstall),
		serviceCommand(kind, "start", "Start the service of "+the, "has started", service.Start),
		serviceCommand(kind, "stop", "Stop the service of "+the+"; it hands back what is under way",
			"has stopped", service.Stop),
		serviceCommand(kind, "restart", "Stop and start the service of "+the, "has started again",
			service.Restart),
	}
}

// serviceChanged is the JSON of the commands that change a service.
type serviceChanged struct {
	Service string `json:"service"`
	Done    string `json:"done"` // uninstall, start, stop or restart
}

func serviceCommand(kind, verb, short, done string,
	do func(service.Instance) error) *cobra.Command {
	s := serviceTarget{kind: kind}
	cmd := &cobra.Command{
		Use: verb, Short: short, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := service.MayManage(); err != nil {
				return err
			}
			s.dir = dirOf(cmd)
			n, err := s.instance()
			if err != nil {
				return err
			}
			if err := do(n); err != nil {
				return err
			}
			return show(cmd, serviceChanged{n.Service(), verb}, func() error {
				_, err := printf(cmd.OutOrStdout(), "%s %s.\n", n.Service(), done)
				return err
			})
		},
	}
	s.flags(cmd)
	jsonFlag(cmd)
	return cmd
}

func installCommand(kind string) *cobra.Command {
	s := serviceTarget{kind: kind}
	var user, group string
	long := fmt.Sprintf(installHelp, "the hub", "")
	if kind == service.Agent {
		long = fmt.Sprintf(installHelp, "the agent", installAgentHelp)
	}
	cmd := &cobra.Command{
		Use: "install", Short: "Make the " + kind + " a service of this machine", Long: long,
		Args: noArgs,
		Example: "  sudo sealpost " + kind + " install --dir /var/lib/sealpost/" +
			map[string]string{service.Hub: "DC-HQ", service.Agent: "FL-LAB"}[kind],
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := service.MayManage(); err != nil { // it may not even read the configuration
				return err
			}
			s.dir = dirOf(cmd)
			i, err := s.installation(cmp.Or(user, service.DefaultUser), group)
			if err != nil {
				return err
			}
			report, err := service.Install(i)
			if err != nil {
				return err
			}
			return show(cmd, report, func() error { return printInstalled(cmd, i, report) })
		},
	}
	s.flags(cmd)
	jsonFlag(cmd)
	cmd.Flags().StringVar(&user, "user", "", "the account of the service"+
		defaultText(service.DefaultUser))
	if kind == service.Agent {
		cmd.Flags().StringVar(&group, "group", "",
			"the group of the people who drop and take files (default the account's own)")
	}
	return cmd
}

func defaultText(user string) string {
	if user == "" {
		return ""
	}
	return fmt.Sprintf(" (default %q)", user)
}

// installation reads the needs of the service from the configuration.
func (s *serviceTarget) installation(user, group string) (i service.Installation, err error) {
	i.User, i.Group = user, cmp.Or(group, user)
	if i.Dir, err = filepath.Abs(s.dir); err != nil {
		return i, err
	}
	if i.Program, err = program(); err != nil {
		return i, err
	}
	if s.kind == service.Hub {
		return s.hubInstallation(i)
	}
	i.Config = config.AgentFile(i.Dir)
	text, err := service.ReadConfiguration(&i)
	if errors.Is(err, fs.ErrNotExist) {
		err = whichService(noAgentIn(i.Dir))
	}
	if err != nil {
		return i, err
	}
	cfg, err := config.ParseAgent(i.Config, text)
	if err != nil {
		return i, err
	}
	i.Instance, err = named(s.kind, cmp.Or(s.known(), cfg.Site))
	i.State = cfg.State
	for _, t := range cfg.Trays() {
		i.Writable = append(i.Writable, t.Dir)
		i.Shared = append(i.Shared, t.Folders()...)
	}
	if cfg.Receives() {
		i.Shared = append(i.Shared, cfg.Inbox.Dir)
		if parent := filepath.Dir(cfg.Inbox.Dir); service.Grantable(parent) {
			i.Writable = append(i.Writable, parent) // for STATUS.txt
		}
	}
	return i, err
}

// hubInstallation is installation for a hub, which shares no folders with users.
func (s *serviceTarget) hubInstallation(i service.Installation) (service.Installation, error) {
	if err := hubRunsHere(); err != nil {
		return i, err
	}
	i.Config = config.HubFile(i.Dir)
	text, err := service.ReadConfiguration(&i)
	if errors.Is(err, fs.ErrNotExist) {
		err = whichService(noHubIn(i.Dir))
	}
	if err != nil {
		return i, err
	}
	cfg, err := config.ParseHub(i.Config, text)
	if err != nil {
		return i, err
	}
	i.State = cfg.State
	i.Instance, err = named(s.kind, cmp.Or(s.known(), cfg.Name))
	return i, err
}

// managedFlag adds the hidden flag that only command lines of install have.
func managedFlag(cmd *cobra.Command) {
	cmd.Flags().Bool(service.ManagedFlag, false, "a service manager runs this")
	cmd.Flags().Lookup(service.ManagedFlag).Hidden = true
}

func isManaged(cmd *cobra.Command) bool {
	return cmd.Flag(service.ManagedFlag).Value.String() == "true"
}

// program is this binary, by a path that outlives this process.
func program() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find out where sealpost lies: %w", err)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", fmt.Errorf("find out where sealpost lies: %w", err)
	}
	return path, nil
}

func printInstalled(cmd *cobra.Command, i service.Installation, r service.Report) error {
	w := cmd.OutOrStdout()
	if r.Again {
		printf(w, "%s was installed already, and has been renewed.\n", r.Service)
	} else {
		printf(w, "%s is installed, and starts with the machine.\n", r.Service)
	}
	if len(r.Left) > 0 {
		fmt.Fprintln(w, "\nThis is left for you to do; it did not work from here:")
		printLines(w, r.Left)
	}
	if commands := service.LetPeopleIn(i); len(commands) > 0 {
		fmt.Fprintln(w, "\nLet users drop and take files:")
		printLines(w, commands)
	}
	_, err := printf(w, "\nNext: sealpost %s %s --name %s\n", i.Kind,
		map[bool]string{false: "start", true: "restart"}[r.Again], i.Name)
	return err
}

func printLines(w io.Writer, lines []reason.Reason) {
	for _, line := range lines {
		printf(w, "  %s\n", line)
	}
}

// serviceStatus answers --name of status: how the service stands with its manager.
func serviceStatus(cmd *cobra.Command, kind, name string) error {
	n := service.Instance{Kind: kind, Name: name}
	if err := n.Check(); err != nil {
		return &usageError{err}
	}
	state, err := service.Ask(n)
	if err != nil {
		return err
	}
	err = show(cmd, state, func() error { return printService(cmd.OutOrStdout(), n, state) })
	if err == nil && !state.Running {
		err = fmt.Errorf("%s: %w", n.Service(), control.ErrNotRunning)
	}
	return err
}

func printService(w io.Writer, n service.Instance, s service.State) error {
	_, err := printf(w, "%s\n", s)
	line := func(label, text string) {
		if text != "" {
			_, err = printf(w, "  %-9s %s\n", label+":", text)
		}
	}
	line("Folder", s.Folder)
	line("Account", s.Account)
	if s.Installed {
		line("Boot", map[bool]string{true: "starts with the machine",
			false: "does not start with the machine"}[s.Boot])
	}
	if !s.Since.IsZero() {
		line("Since", localTime(s.Since))
	}
	if s.Process > 0 {
		line("Process", strconv.Itoa(s.Process))
	}
	line("Says", s.Says)
	line("Failure", s.Failure)
	if s.Restarts > 0 {
		line("Restarts", reason.New("service-restarts", "n", s.Restarts).String())
	}
	if s.Installed {
		line("Log", service.WhereToLook(n))
	}
	return err
}

func serviceNameFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "name", "", "say instead how the service of this name stands")
}

// asService returns the state of the service of a daemon that does not answer.
func asService(kind, dir string) reason.Reason {
	n, err := service.Of(kind, absolute(dir))
	if err != nil || n.Name == "" {
		return reason.Reason{}
	}
	state, err := service.Ask(n)
	if err != nil || !state.Installed {
		return reason.Reason{}
	}
	return reason.New("as-service", "state", state, "kind", kind, "name", n.Name)
}
