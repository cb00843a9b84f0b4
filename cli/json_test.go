package cli

import (
	"encoding"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/hub"
	"sealpost/hub/remote"
	"sealpost/internal/reason"
	"sealpost/internal/service"
	"sealpost/statement"
)

var update = flag.Bool("update", false, "write the golden files anew")

// outputs are the types that commands print with --json.
var outputs = map[string][]any{
	"hub init":          {hub.InitReport{}, authorityRequested{}},
	"hub invite":        {invitationWritten{}},
	"hub invitations":   {hub.InvitationsAnswer{}},
	"hub join":          {remote.Joined{}},
	"hub admins":        {hub.AdminsAnswer{}},
	"hub sites":         {hub.SitesAnswer{}},
	"hub queues":        {hub.QueuesAnswer{}},
	"hub messages":      {messagesReport{}},
	"hub status":        {hub.Status{}, service.State{}},
	"hub dead":          {deadReport{}},
	"hub requeue":       {hub.LettersAnswer{}},
	"hub discard":       {hub.LettersAnswer{}},
	"hub quota":         {hub.UsageAnswer{}, hub.SiteUsage{}},
	"hub roster":        {hub.RosterState{}},
	"hub export":        {exportWritten{}},
	"hub admit":         {hub.Changed{}},
	"hub revoke":        {hub.Changed{}},
	"hub hold":          {hub.Changed{}, hub.LettersAnswer{}},
	"hub release":       {hub.Changed{}, hub.LettersAnswer{}},
	"hub holds":         {hub.HoldsAnswer{}},
	"hub bind":          {hub.Bound{}},
	"hub unbind":        {hub.Bound{}},
	"hub remove":        {hub.Removed{}},
	"hub profile":       {profileWritten{}},
	"hub install":       {service.Report{}},
	"hub uninstall":     {serviceChanged{}},
	"hub start":         {serviceChanged{}},
	"hub stop":          {serviceChanged{}},
	"hub restart":       {serviceChanged{}},
	"hub audit verify":  {auditReport{}},
	"hub audit export":  {auditReport{}},
	"hub audit tail":    {auditLine{}},
	"hub check":         {findings{}},
	"hub reload":        {hub.Reloaded{}},
	"hub console":       {hub.ConsoleLink{}},
	"hub acknowledge":   {hub.Changed{}},
	"hub doctor":        {findings{}},
	"agent join":        {agent.Joined{}},
	"agent status":      {agent.Status{}, service.State{}},
	"agent sites":       {routesReport{}},
	"agent roster":      {agent.RosterState{}},
	"agent find":        {agent.Found{}},
	"agent log":         {agent.Log{}},
	"agent receipts":    {agent.Receipts{}, agent.Done{}},
	"agent approve":     {agent.Done{}},
	"agent trust":       {agent.Done{}},
	"agent block":       {agent.Done{}},
	"agent unblock":     {agent.Done{}},
	"agent distrust":    {agent.Done{}},
	"agent rotate":      {agent.Done{}},
	"agent recall":      {agent.Done{}},
	"agent resend":      {agent.Done{}},
	"agent retry":       {agent.Done{}},
	"agent new-key":     {agent.Done{}},
	"agent profile":     {profileWritten{}},
	"agent install":     {service.Report{}},
	"agent uninstall":   {serviceChanged{}},
	"agent start":       {serviceChanged{}},
	"agent stop":        {serviceChanged{}},
	"agent restart":     {serviceChanged{}},
	"agent doctor":      {findings{}},
	"agent proof":       {agent.Proven{}},
	"certs authority":   {authoritySigned{}},
	"certs encrypt":     {keyRewritten{}},
	"certs decrypt":     {keyRewritten{}},
	"certs roster show": {statement.Roster{}},
	"certs roster sign": {signedReport{}},
	"certs":             {certificatesReport{}},
	"send":              {sendReport{}},
	"version":           {versionReport{}},
}

// Every command that ends by itself has --json.
func TestEveryCommandHasJSON(t *testing.T) {
	without := []string{"hub run", "agent run", "demo"}
	var walk func(cmd *cobra.Command, name string)
	walk = func(cmd *cobra.Command, name string) {
		for _, sub := range cmd.Commands() {
			walk(sub, strings.TrimSpace(name+" "+sub.Name()))
		}
		if !cmd.HasSubCommands() && cmd.Flags().Lookup("json") == nil &&
			!slices.Contains(without, name) {
			t.Errorf("%s has no --json", name)
		}
	}
	walk(newRoot(), "")
}

// docs/cli.md promises that the fields of --json stay. New ones may be added, with -update.
func TestJSONFieldsStay(t *testing.T) {
	const golden = "testdata/json.golden"
	var b strings.Builder
	for _, command := range jsonCommands(newRoot(), nil) {
		values, found := outputs[command]
		if !found {
			t.Errorf("%s has --json, and its type is not in outputs", command)
		}
		for _, v := range values {
			fmt.Fprintf(&b, "%s\n", command)
			for _, line := range fieldsOf(t, reflect.TypeOf(v), "", nil) {
				fmt.Fprintf(&b, "  %s\n", line)
			}
		}
	}
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("the fields of --json differ from %s. Programs rely on each of them. Add new "+
			"ones with: go test ./cli -run TestJSONFieldsStay -update\n%s", golden,
			difference(string(want), got))
	}
}

// difference returns the lines that only one of two texts has.
func difference(before, after string) string {
	var b strings.Builder
	a, c := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range a {
		if !slices.Contains(c, line) {
			fmt.Fprintf(&b, "- %s\n", line)
		}
	}
	for _, line := range c {
		if !slices.Contains(a, line) {
			fmt.Fprintf(&b, "+ %s\n", line)
		}
	}
	return b.String()
}

// jsonCommands returns the commands with --json below one. The demo is not for programs.
func jsonCommands(cmd *cobra.Command, names []string) (found []string) {
	if cmd.HasParent() {
		names = append(slices.Clone(names), cmd.Name())
	}
	name := strings.Join(names, " ")
	if cmd.Flags().Lookup("json") != nil && name != "demo" {
		found = append(found, name)
	}
	for _, sub := range cmd.Commands() {
		found = append(found, jsonCommands(sub, names)...)
	}
	return found
}

// fieldsOf returns the paths of the JSON fields of a type, with their types.
func fieldsOf(t *testing.T, of reflect.Type, path string, above []reflect.Type) []string {
	t.Helper()
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if slices.Contains(above, of) {
		return []string{path + " …"}
	}
	above = append(slices.Clone(above), of)
	text := reflect.TypeFor[encoding.TextMarshaler]()
	switch {
	case of == reflect.TypeFor[reason.Reason]():
		return []string{path + " reason"}
	case of.Implements(text):
		return []string{path + " string (" + of.String() + ")"}
	case of.Kind() == reflect.Slice || of.Kind() == reflect.Array:
		return fieldsOf(t, of.Elem(), path+"[]", above)
	case of.Kind() == reflect.Map:
		return fieldsOf(t, of.Elem(), path+"{}", above)
	case of.Kind() != reflect.Struct:
		return []string{path + " " + of.Kind().String()}
	}
	var list []string
	for i := range of.NumField() {
		f := of.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && tag == "":
			list = append(list, fieldsOf(t, f.Type, path, above)...)
			continue
		case !f.IsExported() || tag == "-":
			continue
		case tag == "":
			t.Errorf("%s.%s has no name in JSON", of, f.Name)
		}
		if options != "" {
			tag += "?" // left out if empty
		}
		list = append(list, fieldsOf(t, f.Type, strings.TrimPrefix(path+"."+tag, "."), above)...)
	}
	return list
}
