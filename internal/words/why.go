package words

import (
	"fmt"
	"strings"

	"sealpost/internal/reason"
)

// Answer is what became of a message at one recipient.
type Answer struct {
	Site    string
	Outcome string // delivered, refused or dead
	Meaning string // of the code, for people
	Code    string
}

// recipientRemoved is the hub's code for a delivery that it gave up because its admin removed the recipient.
const recipientRemoved = "recipient-removed"

func (a Answer) isRemoved() bool { return a.Outcome == "dead" && a.Code == recipientRemoved }

// String says it in a sentence.
func (a Answer) String() string {
	switch {
	case a.Outcome == "delivered":
		return a.Site + " has it, and has signed for it."
	case a.Outcome == "refused":
		return fmt.Sprintf("%s has refused it for ever: %s (%s).", a.Site, a.Meaning, a.Code)
	case a.isRemoved():
		return fmt.Sprintf("%s does not have it: the admin of the hub has removed %s from the network (%s).", a.Site, a.Site, a.Code)
	}
	return fmt.Sprintf("%s does not have it: the hub has given up delivering it (%s).", a.Site, a.Code)
}

// Why is the note beside a file that failed: what happened, who has it and who has not, and what to do. direct says that it
// was meant for particular sites.
func Why(name, message, reason string, direct bool, answers []Answer) string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	switch {
	case reason == RecalledAfterLoss:
		add("%s (%s) was not sent again. It was recalled.", name, message)
		add("")
		add("No receipt is known, but %s. Ask them.", reason)
	case len(answers) == 0:
		add("%s (%s) was not sent.", name, message)
		add("")
		add("Nobody has it: %s.", reason)
	default:
		add("%s (%s) was not delivered to everybody.", name, message)
		add("")
	}
	for _, a := range answers {
		add("%s", a)
	}
	add("")
	add("Your file is safe: it lies beside this note.")
	for _, line := range again(message, direct, answers) {
		add("%s", line)
	}
	add("If you do not know why this happened, show this note to the admin of your site.")
	return Lines(lines)
}

// IsWhy reports whether a text is such a note on this message.
func IsWhy(text, name, message string) bool {
	return strings.HasPrefix(text, fmt.Sprintf("%s (%s) was not ", name, message))
}

// again is how to send a file again to those who do not have it, and to nobody else. A site that was removed cannot be sent to.
func again(message string, direct bool, answers []Answer) (lines []string) {
	var lack, removed []string
	for _, a := range answers {
		switch {
		case a.isRemoved():
			removed = append(removed, a.Site)
		case a.Outcome != "delivered":
			lack = append(lack, a.Site)
		}
	}
	switch {
	case len(lack) > 0 && len(lack) < len(answers):
		lines = append(lines, fmt.Sprintf("To send it again to those who do not have it, copy it into the folder @%s in outbox; make that folder if it is not there.", strings.Join(lack, ",")))
	case len(lack) == 0 && len(removed) > 0: // nobody is left to send it to
	case direct:
		lines = append(lines, "To send it again, copy it into the folder in outbox whose name is an @ and the name of the site that is meant. Not into outbox itself: from there it would go to others.")
	default:
		lines = append(lines, reason.Failed.Words().Next.String())
	}
	for _, site := range removed {
		lines = append(lines, fmt.Sprintf("To %s nothing can be sent. If it should have the file all the same, ask the admin of the hub; once it is in the network again: sealpost agent resend %s --to %s", site, message, site))
	}
	return lines
}

// Lines joins lines as every program on every system shows them.
func Lines(lines []string) string { return strings.Join(lines, "\r\n") + "\r\n" }
