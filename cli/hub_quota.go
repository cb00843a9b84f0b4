package cli

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"sealpost/config"
	"sealpost/hub"
)

const hubQuotaHelp = `Show how much each site has at the hub, and how much it may have; or set the
limits of one site. The limits of all sites stand under [quota] in hub.toml.

Above a limit the hub takes nothing new from the site, or for its queue. The
senders keep their files, read which limit it is, and try again by themselves.
What is at the hub already stays, also above a lower limit.

A limit is a number, a size such as 200GiB, or "default". --queue-expires sets
the time after which a delivery for the site ends undelivered, such as 30d;
"never", or "default": expires_after in hub.toml.`

// expiryFlag is a flag for the time after which deliveries for a site end.
type expiryFlag struct{ value *time.Duration }

func (e expiryFlag) String() string { return "" }
func (e expiryFlag) Type() string   { return "time" }

func (e expiryFlag) Set(text string) error {
	switch text {
	case "default":
		*e.value = hub.DefaultQuota
		return nil
	case "never":
		*e.value = hub.NeverExpires
		return nil
	}
	var d days
	if d.Set(text) != nil {
		return errors.New(`want a time such as 30d or 36h, "never" or "default"`)
	}
	*e.value = d.Duration
	return nil
}

// limitFlag is a flag for a limit of a quota: a number or a size, and "default".
type limitFlag struct {
	value   *int64
	isBytes bool
}

func (l limitFlag) String() string { return "" }

func (l limitFlag) Type() string {
	if l.isBytes {
		return "size"
	}
	return "number"
}

func (l limitFlag) Set(text string) error {
	if text == "default" {
		*l.value = hub.DefaultQuota
		return nil
	}
	if l.isBytes {
		var size config.Size
		if err := size.UnmarshalText([]byte(text)); err != nil {
			return err
		}
		*l.value = int64(size)
	} else {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf(`want a number or "default", not %q`, text)
		}
		*l.value = n
	}
	if *l.value < 1 {
		return fmt.Errorf(`want more than 0, or "default"`)
	}
	return nil
}

func hubQuotaCommand() *cobra.Command {
	var in hub.QuotaRequest
	cmd := &cobra.Command{
		Use: "quota [SITE]", Short: "Show and set the limits of sites", Long: hubQuotaHelp,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s wants one SITE, or none", cmd.CommandPath())
			}
			return nil
		},
		Example: "  sealpost hub quota\n" +
			"  sealpost hub quota FL-LAB --bytes 200GiB --uploads 8\n" +
			"  sealpost hub quota CA-RC --queue-bytes default\n" +
			"  sealpost hub quota CA-RC --queue-expires 30d",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				if in != (hub.QuotaRequest{}) {
					return usagef("say which site these limits are for: %s SITE",
						cmd.CommandPath())
				}
				return showHub(cmd, hub.ControlUsage, hub.Nothing{}, printUsages)
			}
			site, err := siteArg(args[0])
			if err != nil {
				return err
			}
			in.Site = site
			return showHub(cmd, hub.ControlQuota, in, printUsage)
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	for _, l := range []struct {
		name, usage string
		value       *int64
		isBytes     bool
	}{
		{"bytes", "ciphertext of the site at the hub, uploads included", &in.Send.Bytes, true},
		{"reserved", "bytes that its open uploads reserve", &in.Send.Reserved, true},
		{"uploads", "open uploads of the site", &in.Send.Uploads, false},
		{"envelopes", "envelopes of the site that wait", &in.Send.Envelopes, false},
		{"messages", "messages of the site that wait", &in.Send.Messages, false},
		{"metadata", "metadata that it adds in a day (UTC)", &in.Send.Metadata, true},
		{"queue-bytes", "ciphertext that waits for the site", &in.Queue.Bytes, true},
		{"queue-envelopes", "envelopes that wait for the site", &in.Queue.Envelopes, false},
		{"queue-messages", "messages that wait for the site", &in.Queue.Messages, false},
	} {
		cmd.Flags().Var(limitFlag{l.value, l.isBytes}, l.name, "limit of the "+l.usage)
	}
	cmd.Flags().Var(expiryFlag{&in.ExpiresAfter}, "queue-expires",
		"time after which a delivery for the site ends undelivered")
	return cmd
}

func printUsages(w io.Writer, out hub.UsageAnswer) error {
	t := usageTable()
	addUsage(t, "all", out.Hub, "")
	addUsage(t, "dead letters", out.Dead, "")
	for _, s := range out.Sites {
		addSite(t, s)
	}
	return t.print(w, "")
}

func printUsage(w io.Writer, out hub.SiteUsage) error {
	t := usageTable()
	addSite(t, out)
	return t.print(w, "")
}

// usageTable returns a table whose cells are counts and limits.
func usageTable() *table {
	return newTable("OF", "LIMITS", "BYTES", "RESERVED", "UPLOADS", "ENVELOPES", "MESSAGES",
		"METADATA TODAY", "ENDS AFTER")
}

func addSite(t *table, s hub.SiteUsage) {
	if s.Send != nil {
		addUsage(t, string(s.Site), *s.Send, "")
	}
	if s.Queue != nil {
		addUsage(t, s.Site.Queue(), *s.Queue, endsAfter(s))
	}
}

// endsAfter writes the time after which the deliveries for a site end.
func endsAfter(s hub.SiteUsage) string {
	text := "never"
	if s.ExpiresAfter != 0 {
		text = config.Duration(s.ExpiresAfter).String()
		if whole := s.ExpiresAfter.Truncate(24 * time.Hour); whole == s.ExpiresAfter {
			text = fmt.Sprintf("%dd", int(whole.Hours()/24))
		}
	}
	if s.OwnExpires {
		text += " (own)"
	}
	return text
}

func addUsage(t *table, owner string, h hub.QuotaState, ends string) {
	u, q := h.Used, h.Allowed
	limits := "default"
	if h.Own {
		limits = "own"
	}
	t.add(owner, limits, bytesOf(u.Bytes+u.Reserved, q.Bytes), bytesOf(u.Reserved, q.Reserved),
		countOf(u.Uploads, q.Uploads), countOf(u.Envelopes, q.Envelopes),
		countOf(u.Messages, q.Messages), metadataOf(h), ends)
}

// metadataOf writes the metadata of one day. Queues and the hub have no limit of it.
func metadataOf(h hub.QuotaState) string {
	if h.Used.Metadata == 0 && h.Allowed.Metadata == 0 {
		return ""
	}
	return bytesOf(h.Used.Metadata, h.Allowed.Metadata)
}

// bytesOf writes a count of bytes and its limit.
func bytesOf(used, allowed int64) string {
	if allowed == 0 {
		return size(used)
	}
	return fmt.Sprintf("%s of %s", size(used), size(allowed))
}

// countOf writes a count and its limit.
func countOf(used, allowed int64) string {
	if allowed == 0 {
		return fmt.Sprint(used)
	}
	return fmt.Sprintf("%d of %d", used, allowed)
}
