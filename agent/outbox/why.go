package outbox

import (
	"slices"
	"strings"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/visible"
	"sealpost/statement"
)

// recipientRemoved is the hub's code for a delivery that it gave up because its admin removed the
// recipient.
const recipientRemoved = "recipient-removed"

// isRemoved reports whether the hub has removed the recipient.
func isRemoved(c ledger.Outcome) bool {
	return c.Outcome == ledger.OutcomeDead && c.Code == recipientRemoved
}

// isRequeued reports whether the message is on its way to the recipient again.
func isRequeued(c ledger.Outcome) bool {
	return c.Outcome == ledger.OutcomeDead && c.Code == ledger.CodeRequeued
}

// isUnplaced reports whether the recipient's disk cannot take the message as it is.
func isUnplaced(c ledger.Outcome) bool {
	return c.Outcome == ledger.OutcomeRefused &&
		(c.Code == statement.CodeNameUnusable || c.Code == statement.CodeTooLarge)
}

// explanation returns the lines of the note beside a failed file.
func explanation(m ledger.Outgoing, outcomes []ledger.Outcome) (lines []reason.Reason) {
	name, message, blank := m.Name, m.ID, reason.Reason{}
	switch {
	case m.Reason.IsDoubtfulRecall():
		lines = append(lines, reason.New("why-not-again", "name", name, "message", message),
			blank, reason.New("why-maybe-there", "why", m.Reason))
	case len(outcomes) == 0:
		lines = append(lines, reason.New("why-not-sent", "name", name, "message", message),
			blank, reason.New("why-not-there", "why", m.Reason))
	default:
		lines = append(lines, reason.New("why-not-delivered", "name", name, "message", message),
			blank)
	}
	for _, c := range outcomes {
		lines = append(lines, answered(c))
	}
	lines = append(lines, blank, reason.New("why-safe"))
	lines = append(lines, resending(m, outcomes)...)
	return append(lines, reason.New("why-ask"))
}

// answered returns the answer of a recipient in a sentence.
func answered(c ledger.Outcome) reason.Reason {
	switch {
	case c.Outcome == ledger.OutcomeDelivered:
		return reason.New("why-delivered", "site", c.Site)
	case c.Outcome == ledger.OutcomeRefused:
		return reason.New("why-refused", "site", c.Site, "meaning", meaning(c.Code), "code", c.Code)
	case isRequeued(c):
		return reason.New("why-requeued", "site", c.Site, "time", c.Time)
	}
	switch c.Code {
	case recipientRemoved:
		return reason.New("why-removed", "site", c.Site, "code", c.Code, "time", c.Time)
	case "expired":
		return reason.New("why-expired", "site", c.Site, "code", c.Code, "time", c.Time)
	case ledger.CodeLost:
		return reason.New("why-lost-by-hub", "site", c.Site)
	case forgottenByHub:
		return reason.New("why-forgotten", "site", c.Site, "code", c.Code)
	case "max-attempts":
		return reason.New("why-max-attempts", "site", c.Site, "code", c.Code, "time", c.Time)
	}
	return reason.New("why-dead", "site", c.Site, "code", c.Code, "time", c.Time)
}

// meaning returns the meaning of a refusal code.
func meaning(code string) reason.Reason {
	if statement.Meaning(code) == "" {
		return reason.Text(code)
	}
	return reason.Reason{Code: reason.Code("refused." + code)}
}

// resending returns the steps to send a file again to exactly the sites that lack it. A removed
// site cannot receive it.
func resending(m ledger.Outgoing, outcomes []ledger.Outcome) (lines []reason.Reason) {
	var lack, unplaced []string
	var removed []id.Site
	var waiting []string
	for _, c := range outcomes {
		switch {
		case isRequeued(c):
			waiting = append(waiting, string(c.Site))
		case isRemoved(c):
			removed = append(removed, c.Site)
		case isUnplaced(c):
			unplaced = append(unplaced, string(c.Site))
			lack = append(lack, string(c.Site))
		case c.Outcome != ledger.OutcomeDelivered:
			lack = append(lack, string(c.Site))
		}
	}
	switch {
	case len(lack) > 0 && len(lack) < len(outcomes):
		lines = append(lines, reason.New("why-again-to", "sites", strings.Join(lack, ",")))
	case len(lack) == 0 && len(removed)+len(waiting) > 0: // no site is left to send it to
	case m.Dir != "":
		lines = append(lines, reason.New("why-again-direct"))
	default:
		lines = append(lines, reason.New("why-again"))
	}
	if len(unplaced) > 0 {
		lines = append(lines, reason.New("why-again-placed", "message", m.ID,
			"sites", strings.Join(unplaced, ",")))
	}
	if len(waiting) > 0 {
		lines = append(lines, reason.New("why-again-requeued", "sites",
			strings.Join(waiting, ",")))
	}
	for _, site := range removed {
		lines = append(lines, reason.New("why-again-removed", "site", site, "message", m.ID))
	}
	return lines
}

// render returns lines as every program on every system shows them.
func render(lines []reason.Reason, l reason.Language) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(line.In(l) + "\r\n")
	}
	return visible.Lines(b.String())
}

// isWhy reports whether a text is the note on a message, in any language.
func isWhy(text string, m ledger.Outgoing) bool {
	begins := reason.New("why-begins", "name", m.Name, "message", m.ID)
	return slices.ContainsFunc(reason.Languages(), func(l reason.Language) bool {
		return strings.HasPrefix(text, begins.In(l))
	})
}
