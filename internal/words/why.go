package words

import (
	"fmt"
	"strings"
)

// Answer is what became of a message at one recipient.
type Answer struct {
	Site    string
	Outcome string // delivered, refused or dead
	Meaning string // of the code, for people
	Code    string
}

// Answer says it in a sentence.
func (a Answer) String() string {
	switch a.Outcome {
	case "delivered":
		return a.Site + " has it, and has signed for it."
	case "refused":
		return fmt.Sprintf("%s has refused it for ever: %s (%s).", a.Site, a.Meaning, a.Code)
	}
	return fmt.Sprintf("%s does not have it: the hub has given up delivering it (%s).", a.Site, a.Code)
}

// Why is the note beside a file that failed: what happened, who has it and who has not, and what to do. direct says that it
// was meant for particular sites.
func Why(name, message, reason string, direct bool, answers []Answer) string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	add("%s (%s) was not delivered to everybody.", name, message)
	add("")
	if len(answers) == 0 {
		add("Nobody has it: %s.", reason)
	}
	for _, a := range answers {
		add("%s", a)
	}
	add("")
	add("Your file is safe: it lies beside this note.")
	add("%s", again(direct, answers))
	add("If you do not know why this happened, show this note to the admin of your site.")
	return Lines(lines)
}

// again is how to send a file again to those who do not have it, and to nobody else.
func again(direct bool, answers []Answer) string {
	var lack []string
	for _, a := range answers {
		if a.Outcome != "delivered" {
			lack = append(lack, a.Site)
		}
	}
	switch {
	case len(lack) > 0 && len(lack) < len(answers):
		return fmt.Sprintf("To send it again to those who do not have it, copy it into the folder @%s in outbox; make that folder if it is not there.", strings.Join(lack, ","))
	case direct:
		return "To send it again, copy it into the folder in outbox whose name is an @ and the name of the site that is meant. Not into outbox itself: from there it would go to others."
	}
	return Failed.Words().Next
}

// Lines joins lines as every program on every system shows them.
func Lines(lines []string) string { return strings.Join(lines, "\r\n") + "\r\n" }
