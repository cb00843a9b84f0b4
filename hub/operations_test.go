package hub

import (
	"net/http"
	"slices"
	"testing"

	"sealpost/hub/api"
)

// operation holds the documentation of one endpoint in docs/api.yaml.
type operation struct {
	summary  string
	in       any    // the JSON of the request; nil: none
	framed   bool   // ciphertext follows in
	raw      string // meaning of the bytes of a request
	out      any    // the JSON of the answer; nil: none
	outBytes string // meaning of the bytes of an answer, after out if there is one
	codes    []api.Code
}

// Problems that every endpoint with a certificate can answer, and every one with a body.
var (
	everyCaller = []api.Code{api.CodeNoCert, api.CodeExpired, api.CodeNotAdmitted, api.CodeRemoved,
		api.CodeOtherKey, api.CodeDistrusted, api.CodeNotAllowed, api.CodeBusy, api.CodeInternal,
		api.CodeUncertain}
	everyBody = []api.Code{api.CodeInvalid, api.CodeTooLarge}
)

var operations = withAdminCalls(map[string]operation{
	"GET " + api.PathHello: {summary: "The identity of the hub, and the site of the caller. " +
		"An agent adds its role and session as a query, so that both sides learn of a different " +
		"role and of a second agent. With the query heard it names the start_id of the newest " +
		"answer to its session: before that, it displaces no other agent.",
		out: api.Hello{}},
	"GET " + api.PathRoster: {summary: "The newest roster that the hub has, as the root has " +
		"signed it.", out: api.RosterAnswer{}, codes: []api.Code{api.CodeNotFound}},
	"POST " + api.PathEnroll: {summary: "Redeem an invitation for a certificate. Needs no " +
		"certificate. The same key gets a certificate again.",
		in: api.EnrollRequest{}, out: api.Enrolled{},
		codes: []api.Code{api.CodeInvitation, api.CodeFull}},
	"POST " + api.PathRenew: {summary: "A new certificate for the same key. An expired " +
		"certificate will not do.",
		in: api.RenewRequest{}, out: api.Enrolled{}, codes: []api.Code{api.CodeNotAllowed}},
	"PUT " + api.PathKey: {summary: "Publish the caller's own recipient-key statement.",
		in: api.KeyUpload{}, codes: []api.Code{api.CodeNotAllowed, api.CodeExpired,
			api.CodeConflict, api.CodeFull}},
	"POST " + api.PathResolve: {summary: "The present route of an address. The sender decides " +
		"about it.",
		in: api.ResolveRequest{}, out: api.Route{},
		codes: []api.Code{api.CodeNotAllowed, api.CodeUnroutable}},
	"POST " + api.PathUploads: {summary: "Open, or open again, the upload of a large envelope. " +
		"The newest caller wins.",
		in: api.UploadRequest{}, out: api.UploadState{},
		codes: []api.Code{api.CodeNotAllowed, api.CodeConflict, api.CodeFull, api.CodeQuota,
			api.CodeOnHold}},
	"PUT " + api.PathUploads +
		"/{envelope}/{part}": {summary: "Store one part durably, or replace it by another one.",
		raw: "The part: 16 MiB, the last one may be shorter. Content-Length is required.",
		codes: []api.Code{api.CodeNotAllowed, api.CodeNotFound, api.CodeChecksum, api.CodeDisplaced,
			api.CodeFull, api.CodeQuota, api.CodeOnHold}},
	"DELETE " + api.PathUploads + "/{envelope}": {summary: "Forget an upload, if there is one.",
		codes: []api.Code{api.CodeNotAllowed, api.CodeInvalid}},
	"POST " + api.PathPublish: {summary: "Put an envelope into every queue of its route, or into " +
		"none. The same again gives the same answer.",
		in: api.PublishRequest{}, framed: true, out: api.Published{},
		codes: []api.Code{api.CodeNotAllowed, api.CodeRoute, api.CodeUnroutable, api.CodeConflict,
			api.CodeUnstaged, api.CodeChecksum, api.CodeFull, api.CodeQuota,
			api.CodeOnHold}},
	"POST " + api.PathKnown: {summary: "The states of the caller's own envelopes. The answer may " +
		"hold fewer than requested: ask again for the rest.",
		in: api.KnownRequest{}, out: api.KnownAnswer{}, codes: []api.Code{api.CodeNotAllowed}},
	"POST " + api.PathLease: {summary: "Deliveries of the caller's own queue; waits for them. " +
		"None within the wait is no error.",
		in: api.LeaseRequest{}, out: api.LeaseAnswer{},
		outBytes: "the ciphertexts of the deliveries with `inline`, in order",
		codes:    []api.Code{api.CodeNotAllowed, api.CodeHeld, api.CodeOnHold}},
	"POST " + api.PathContent: {summary: "A range of a delivery's ciphertext. Needs no lease.",
		in: api.ContentRequest{}, outBytes: "The range.",
		codes: []api.Code{api.CodeNotAllowed, api.CodeNotFound}},
	"POST " + api.PathExtend: {summary: "Prolong a lease.", in: api.ExtendRequest{},
		out: api.Extended{}, codes: []api.Code{api.CodeNotAllowed, api.CodeStale}},
	"POST " + api.PathRelease: {summary: "Hand a delivery back for later.",
		in:    api.ReleaseRequest{},
		codes: []api.Code{api.CodeNotAllowed, api.CodeStale, api.CodeFull}},
	"POST " + api.PathSettle: {summary: "State the final outcomes of deliveries. Each is " +
		"answered for itself; the first settlement of a delivery stays.",
		in: api.SettleRequest{}, out: api.SettleAnswer{}, codes: []api.Code{api.CodeNotAllowed}},
	"POST " + api.PathEvents: {summary: "The caller's events after a cursor; waits for them.",
		in: api.EventsRequest{}, out: api.EventsAnswer{}},
})

// summaries has the meaning of each admin's call from another computer.
var summaries = map[string]string{
	ControlStatus:      "The hub as a whole.",
	ControlSites:       "The sites, and the callers that are not admitted.",
	ControlQueues:      "The queues with their figures.",
	ControlMessages:    "The records of messages, by pages.",
	ControlUsage:       "The counts and limits of the hub and of its sites.",
	ControlInvitations: "The open invitations. Without their secrets.",
	ControlAdmins:      "The admins and viewers on other computers.",
	ControlAudit:       "A page of the audit chain. Follow it by the hashes of its blocks.",
	ControlLastExport:  "The last export, and whether the network has changed since.",
	ControlDead:        "The dead letters, by pages.",
	ControlInvite:      "Invite a site. The answer has the invitation's secret.",
	ControlRevoke:      "End the invitation of a site.",
	ControlAdmit:       "Let in a site by its fingerprint, or change its role.",
	ControlRemove:      "Take a site off the network.",
	ControlBind:        "Direct routing keys to a queue.",
	ControlUnbind:      "Stop directing routing keys to a queue.",
	ControlQuota:       "Change the limits of a site.",
	ControlExport:      "The network as a text that the hub signs, for a new hub.",
	ControlReload:      "Let the hub read hub.toml again.",
	ControlHold:        "Hold a site: nothing new is taken from it or given to it.",
	ControlUnhold:      "Release a held site.",
	ControlHoldOne:     "Hold the waiting deliveries of a message.",
	ControlUnholdOne:   "Release the held deliveries of a message.",
	ControlHolds:       "List the sites and the deliveries on hold.",
	ControlRequeue:     "Return dead letters to their queues.",
	ControlDiscard:     "Free the content of dead letters.",
	ControlRoster:      "The number and the end of the roster, and the sites that are not on it.",
	ControlSetRoster:   "Give the hub a newer roster, which the root has signed.",
	ControlMessage:     "The life of one message, with its receipts.",
	ControlPreview:     "The recipients of a routing key, now and after a change of a queue.",
	ControlFlow:        "The pairs of sites with traffic.",
	ControlHistory:     "The hub's figures over an hour, a day or a year.",
	ControlAcknowledge: "End the report of lost commits.",
}

func withAdminCalls(all map[string]operation) map[string]operation {
	for _, a := range adminCalls() {
		if summary := summaries[a.path]; summary != "" {
			all["POST "+api.PathAdmin+a.path] = operation{summary: summary, in: a.in, out: a.out,
				codes: []api.Code{api.CodeRefused}}
		}
	}
	return all
}

// problems lists the codes that the endpoint may answer.
func (o operation) problems(e endpoint) []api.Code {
	codes := slices.Clone(o.codes)
	if e.who == anonymous {
		codes = append(codes, api.CodeBusy, api.CodeInternal, api.CodeUncertain)
	} else {
		codes = append(codes, everyCaller...)
	}
	if o.in != nil || o.raw != "" {
		codes = append(codes, everyBody...)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// success is the status and the media type of an answer without a problem.
func (o operation) success() (int, string) {
	switch {
	case o.outBytes != "":
		return http.StatusOK, "application/octet-stream"
	case o.out != nil:
		return http.StatusOK, "application/json"
	}
	return http.StatusNoContent, ""
}

// documented checks that an answer is one that docs/api.yaml knows for the endpoint.
func documented(t *testing.T, pattern string, resp *http.Response, code api.Code) {
	t.Helper()
	op, found := operations[pattern]
	if !found {
		t.Errorf("%s is not documented", pattern)
		return
	}
	i := slices.IndexFunc(endpoints(), func(e endpoint) bool { return e.name() == pattern })
	if code != "" {
		if !slices.Contains(op.problems(endpoints()[i]), code) ||
			resp.Header.Get("Content-Type") != api.ProblemType {
			t.Errorf("%s answers %s as %s, which is not documented", pattern, code,
				resp.Header.Get("Content-Type"))
		}
		return
	}
	if status, media := op.success(); resp.StatusCode != status ||
		resp.Header.Get("Content-Type") != media {
		t.Errorf("%s answers %d %q, and %d %q is documented", pattern, resp.StatusCode,
			resp.Header.Get("Content-Type"), status, media)
	}
}
