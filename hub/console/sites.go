package console

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

const sitePage = 100 // sites on one page

var siteRoles = []string{config.RoleSend, config.RoleReceive, config.RoleBoth}

// siteRow is a site in the list.
type siteRow struct {
	hub.SiteStatus
	Full bool // it, or its queue, has reached a limit
}

// sites lists the sites, and the callers that are not admitted.
func sites(v *visit) error {
	answer, err := ask[hub.SitesAnswer](v, hub.ControlSites, hub.Nothing{})
	if err != nil {
		return err
	}
	open, err := ask[hub.InvitationsAnswer](v, hub.ControlInvitations, hub.Nothing{})
	if err != nil {
		return err
	}
	data := struct {
		hub.SitesAnswer
		Sites         []siteRow
		Invitations   any
		Query, State  string
		States, Roles []string
		Found, All    int
		Next          int
	}{SitesAnswer: answer, Invitations: open.Invitations, Query: v.field("q"),
		State: v.field("state"), Roles: siteRoles, All: len(answer.Sites),
		States: []string{hub.SiteJoined, hub.SiteInvited, hub.SiteRemoved, "away", "held"}}
	from, _ := strconv.Atoi(v.field("from"))
	for _, s := range answer.Sites {
		if !strings.Contains(string(s.Site), strings.ToUpper(data.Query)) ||
			!isInState(s, data.State) {
			continue
		}
		if data.Found++; data.Found > from && len(data.Sites) < sitePage {
			data.Sites = append(data.Sites, siteRow{s, isFull(s.Usage)})
		}
	}
	if last := max(0, from) + len(data.Sites); last < data.Found {
		data.Next = last
	}
	return v.page("sites", "Sites", data)
}

// isInState reports whether a site has a state; empty: any.
func isInState(s hub.SiteStatus, state string) bool {
	switch state {
	case "":
		return true
	case "away":
		return isAway(s)
	case "held":
		return s.Hold != nil
	}
	return s.State == state
}

// isAway reports whether a site has joined and is not connected.
func isAway(s hub.SiteStatus) bool { return s.State == hub.SiteJoined && s.Connections == 0 }

func isFull(u *hub.SiteUsage) bool {
	return u != nil && (u.Send != nil && !u.Send.Full().IsZero() ||
		u.Queue != nil && !u.Queue.Full().IsZero())
}

// site shows one site and its acts.
func site(v *visit) error {
	answer, err := ask[hub.SitesAnswer](v, hub.ControlSites, hub.Nothing{})
	if err != nil {
		return err
	}
	name := v.field("name")
	i := slices.IndexFunc(answer.Sites, func(s hub.SiteStatus) bool {
		return string(s.Site) == name
	})
	if i < 0 {
		return reason.Err("hub-no-site", "site", name)
	}
	s := answer.Sites[i]
	data := struct {
		Site   hub.SiteStatus
		Roles  []string
		Limits []limit
		Fields []quotaField
	}{Site: s, Roles: siteRoles}
	if s.Usage != nil {
		data.Limits = limitsOf(*s.Usage)
	}
	for _, f := range quotaFields {
		if f.ofQueue && s.Queue != "" || !f.ofQueue && s.Role != config.RoleReceive {
			data.Fields = append(data.Fields, f)
		}
	}
	return v.page("site", name, data)
}

// limit is one limit of a site or of the hub, with its use.
type limit struct {
	Of, Name, Used, Allowed string
	Percent                 int64
}

func limitsOf(u hub.SiteUsage) (list []limit) {
	if u.Send != nil {
		list = append(list, limitRows("as a sender", *u.Send)...)
	}
	if u.Queue != nil {
		list = append(list, limitRows("its queue", *u.Queue)...)
	}
	return list
}

// limitRows lists the limits of one owner that are set.
func limitRows(of string, q hub.QuotaState) (list []limit) {
	count := func(n int64) string { return grouped(strconv.FormatInt(n, 10)) }
	bytes := func(n int64) string { return reason.SizeText(n, reason.English) }
	for _, l := range []struct {
		name          string
		used, allowed int64
		text          func(int64) string
	}{
		{"bytes", q.Used.Bytes, q.Allowed.Bytes, bytes},
		{"reserved bytes", q.Used.Reserved, q.Allowed.Reserved, bytes},
		{"uploads", q.Used.Uploads, q.Allowed.Uploads, count},
		{"envelopes", q.Used.Envelopes, q.Allowed.Envelopes, count},
		{"messages", q.Used.Messages, q.Allowed.Messages, count},
		{"metadata of today", q.Used.Metadata, q.Allowed.Metadata, bytes},
	} {
		if l.allowed > 0 {
			list = append(list, limit{of, l.name, l.text(l.used), l.text(l.allowed),
				int64(100 * float64(l.used) / float64(l.allowed))})
		}
	}
	return list
}

// siteField returns the site in a form.
func (v *visit) siteField() (id.Site, error) {
	name, err := id.ParseSite(v.field("site"))
	if err != nil {
		return "", misread("site", err)
	}
	return name, nil
}

// patterns returns the routing keys in a field.
func (v *visit) patterns(field string) []string {
	return strings.FieldsFunc(v.field(field), func(r rune) bool { return r == ',' || r == ' ' })
}

// invite answers with the file of an invitation.
func invite(v *visit) error {
	site, err := v.siteField()
	if err != nil {
		return err
	}
	in := hub.InviteRequest{Site: site, Role: v.field("role"), MaySend: v.patterns("may_send")}
	if text := v.field("days"); text != "" {
		days, err := strconv.ParseUint(text, 10, 16)
		if err != nil || days == 0 {
			return misread("days", fmt.Errorf("%q is no number of days", text))
		}
		in.Valid = time.Duration(days) * 24 * time.Hour
	}
	out, err := ask[hub.Invited](v, hub.ControlInvite, in)
	if err != nil {
		return err
	}
	text, err := out.File().Text()
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s.join"`, out.Site))
	v.w.Write(text) // an error means that the browser left
	return nil
}

func admit(v *visit) error {
	if err := v.confirmed("compared"); err != nil {
		return err
	}
	site, err := v.siteField()
	if err != nil {
		return err
	}
	return act(v, hub.ControlAdmit, hub.AdmitRequest{Site: site,
		Fingerprint: id.Hash(v.field("fingerprint")), Role: v.field("role"),
		MaySend: v.patterns("may_send")},
		func(out hub.Changed) string {
			return changed(out, string(site)+" is admitted with this role. It connects by itself, "+
				"but if it runs with another role: then it has to join again.")
		})
}

// changed returns the text of a change, or that of none.
func changed(out hub.Changed, text string) string {
	if out.Changed {
		return text
	}
	return "Nothing has changed: it was so before."
}

func hold(v *visit) error {
	site, err := v.siteField()
	if err != nil {
		return err
	}
	return act(v, hub.ControlHold, hub.HoldRequest{Site: site, Because: v.field("because")},
		func(out hub.Changed) string {
			return changed(out, string(site)+" is on hold. Nothing of it is lost.")
		})
}

func release(v *visit) error {
	site, err := v.siteField()
	if err != nil {
		return err
	}
	return act(v, hub.ControlUnhold, hub.HoldRequest{Site: site},
		func(out hub.Changed) string {
			return changed(out, string(site)+" is not on hold any more.")
		})
}

func revoke(v *visit) error {
	site, err := v.siteField()
	if err != nil {
		return err
	}
	return act(v, hub.ControlRevoke, hub.RevokeRequest{Site: site},
		func(out hub.Changed) string {
			return changed(out, "The invitation of "+string(site)+" has ended.")
		})
}

func remove(v *visit) error {
	site, err := v.siteField()
	if err != nil {
		return err
	}
	if err := v.confirmed(string(site)); err != nil {
		return err
	}
	return act(v, hub.ControlRemove,
		hub.RemoveRequest{Site: site, KeepSent: v.field("keep_sent") == "yes"},
		func(out hub.Removed) string {
			return fmt.Sprintf("%s is removed. %s, which waited for it or came from it, ended "+
				"undelivered.", site, counted(out.Killed+out.Sent, "delivery", "deliveries"))
		})
}

// quotaField is a field of the form for limits.
type quotaField struct {
	Name, Title string
	ofQueue     bool
	isSize      bool
	of          func(*hub.QuotaRequest) *int64
}

var quotaFields = []quotaField{
	{"send_bytes", "Bytes of its envelopes", false, true,
		func(r *hub.QuotaRequest) *int64 { return &r.Send.Bytes }},
	{"send_reserved", "Bytes of its uploads", false, true,
		func(r *hub.QuotaRequest) *int64 { return &r.Send.Reserved }},
	{"send_uploads", "Uploads", false, false,
		func(r *hub.QuotaRequest) *int64 { return &r.Send.Uploads }},
	{"send_envelopes", "Envelopes", false, false,
		func(r *hub.QuotaRequest) *int64 { return &r.Send.Envelopes }},
	{"send_messages", "Messages", false, false,
		func(r *hub.QuotaRequest) *int64 { return &r.Send.Messages }},
	{"send_metadata", "Metadata of a day", false, true,
		func(r *hub.QuotaRequest) *int64 { return &r.Send.Metadata }},
	{"queue_bytes", "Bytes in its queue", true, true,
		func(r *hub.QuotaRequest) *int64 { return &r.Queue.Bytes }},
	{"queue_envelopes", "Envelopes in its queue", true, false,
		func(r *hub.QuotaRequest) *int64 { return &r.Queue.Envelopes }},
	{"queue_messages", "Messages in its queue", true, false,
		func(r *hub.QuotaRequest) *int64 { return &r.Queue.Messages }},
	{"expires_after", "Ends undelivered after", true, false, nil},
}

// parse returns the value of a field.
func (f quotaField) parse(text string) (int64, error) {
	switch {
	case text == "":
		return hub.KeepQuota, nil
	case text == "default":
		return hub.DefaultQuota, nil
	case f.of == nil && text == "never":
		return hub.NeverExpires, nil
	}
	var n int64
	var err error
	switch {
	case f.of == nil:
		var d time.Duration
		d, err = time.ParseDuration(text)
		n = int64(d)
	case f.isSize:
		var s config.Size
		err = s.UnmarshalText([]byte(text))
		n = int64(s)
	default:
		n, err = strconv.ParseInt(text, 10, 64)
	}
	if err != nil || n <= 0 {
		err = fmt.Errorf("%q is no limit", text)
	}
	return n, err
}

func quota(v *visit) error {
	site, err := v.siteField()
	if err != nil {
		return err
	}
	in := hub.QuotaRequest{Site: site}
	for _, f := range quotaFields {
		n, err := f.parse(v.field(f.Name))
		if err != nil {
			return misread(f.Title, err)
		}
		if f.of == nil {
			in.ExpiresAfter = time.Duration(n)
		} else {
			*f.of(&in) = n
		}
	}
	return act(v, hub.ControlQuota, in,
		func(hub.SiteUsage) string { return "The limits of " + string(site) + " are set." })
}
