package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// print writes one line for each delivery, with its times and the state of its receipt.
func (r result) print(o Options) error {
	if o.JSON {
		enc := json.NewEncoder(o.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	fmt.Fprintln(o.Out)
	t := tabwriter.NewWriter(o.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MESSAGE\tFILE\tTO\tTHROUGH\tSPOOLED\tACKNOWLEDGED\tIN THE INBOX\tRECEIPT")
	for _, d := range r.Deliveries {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Message, d.File, d.Recipient, d.Queue,
			clock(d.Spooled), clock(d.Acknowledged), d.equalWord(), d.verifiedWord())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return r.printSum(o.Out)
}

func (r result) printSum(w io.Writer) error {
	done := 0
	for _, d := range r.Deliveries {
		if d.done() {
			done++
		}
	}
	_, err := fmt.Fprintf(w, "\n%d of %d deliveries done; "+
		"the hub holds %d bytes of ciphertext, and metadata.\n",
		done, len(r.Deliveries), r.ContentBytes)
	if r.Destroyed != nil && err == nil {
		_, err = fmt.Fprintln(w, r.sumOfFire())
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "NOT AS IT SHOULD BE: %s\n", p)
	}
	return err
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("15:04:05.000")
}

const noWord = "NO"

func (d delivery) equalWord() string {
	if d.Equal {
		return "byte-equal"
	}
	return noWord
}

func (d delivery) verifiedWord() string {
	if d.Verified {
		return "verified"
	}
	return noWord
}
