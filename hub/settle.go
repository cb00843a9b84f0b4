package hub

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/statement"
)

const settleBody = api.MaxJSON + 64<<10

// settle records the outcomes in the receipts. Each settlement has its own answer, and all of one
// request share the spool's next commits.
func (c *call) settle(in api.SettleRequest) error {
	if len(in.Settlements) > api.MaxLeases {
		return problem(api.CodeInvalid, "want at most %d settlements, not %d", api.MaxLeases,
			len(in.Settlements))
	}
	if !c.hub.unsettled.has(c.caller.Name, time.Now()) {
		return errUnsettled
	}
	settled := make([]api.SettledDelivery, len(in.Settlements))
	var wg sync.WaitGroup
	for i, s := range in.Settlements {
		wg.Go(func() { settled[i] = c.settleOne(s) })
	}
	wg.Wait()
	wrong := 0
	for _, s := range settled {
		if s.Code != "" && !api.Retry(&api.Error{Code: s.Code}) {
			wrong++
		}
	}
	c.hub.unsettled.charge(c.caller.Name, wrong, time.Now())
	head := c.hub.spool.AuditHead()
	return c.reply(api.SettleAnswer{Settled: settled, Audit: &api.Audit{Block: head.Block,
		Hash: head.Hash, Truncated: head.Truncated}})
}

// settleOne records the outcomes in one receipt, and returns the time or the code of its error.
func (c *call) settleOne(s api.Settlement) api.SettledDelivery {
	receipt, err := c.openReceipt(s)
	if err != nil {
		return c.unsettled(s, err)
	}
	outcomes := make([]spool.Outcome, len(receipt.Messages))
	for i, m := range receipt.Messages {
		outcomes[i] = spool.Outcome{UID: m.UID, Message: m.Message, Outcome: m.Outcome,
			Code: m.Code}
	}
	out, err := c.hub.spool.Settle(c.r.Context(), spool.Settlement{
		Delivery: s.Delivery, Sender: receipt.Sender, Receipt: s.Receipt, Outcomes: outcomes,
	})
	if err != nil {
		return c.unsettled(s, err)
	}
	fault.Point("hub-settled")
	if out.First {
		c.recordSettled(receipt)
	}
	return api.SettledDelivery{Time: out.Time}
}

// recordSettled counts the outcomes of messages, and logs one line for each kind. Most receipts
// have one kind.
func (c *call) recordSettled(receipt statement.Receipt) {
	type outcome struct{ outcome, code string }
	of := map[outcome][]id.Message{}
	for _, m := range receipt.Messages {
		o := outcome{m.Outcome, m.Code}
		of[o] = append(of[o], m.Message)
		c.hub.metrics.settled.WithLabelValues(m.Outcome, m.Code).Inc()
	}
	c.hub.metrics.tally.settled.Add(int64(len(receipt.Messages)))
	for o, messages := range of {
		c.log.Info("settled", "envelope", receipt.Envelope, "sender", receipt.Sender,
			"outcome", o.outcome, "code", o.code, "messages", id.Ranges(messages))
	}
}

func (c *call) unsettled(s api.Settlement, err error) api.SettledDelivery {
	code, _ := codeOf(err)
	c.hub.refused(c.r, slog.LevelWarn, refusedSettlement, "site", c.caller.Name,
		"sequence", s.Delivery.Sequence, "code", code, "error", err)
	return api.SettledDelivery{Code: code}
}

// openReceipt checks that the caller signed the receipt for this delivery. The certificate in the
// receipt may have expired since: the caller's present one is already verified for this request.
func (c *call) openReceipt(s api.Settlement) (statement.Receipt, error) {
	if s.Delivery.Queue != c.caller.Name.Queue() {
		return statement.Receipt{}, spool.ErrNotFound
	}
	signed, err := statement.Open[statement.Receipt](s.Receipt, c.hub.verifier, c.hub.now())
	if errors.Is(err, certs.ErrNotValidNow) { // only its time is wrong
		signed, err = statement.Open[statement.Receipt](s.Receipt, c.hub.verifier,
			statement.ReceiptTime(s.Receipt))
	}
	if err != nil {
		return statement.Receipt{}, problem(statementCode(err), "the receipt: %v", err)
	}
	r := signed.Payload
	switch {
	case signed.Site != c.caller.Name || r.Recipient != c.caller.Name:
		return r, problem(api.CodeNotAllowed, "the receipt speaks for %s", r.Recipient)
	case signed.Key != c.caller.Key:
		return r, problem(api.CodeNotAllowed, "the receipt is signed with another key (%s)",
			signed.Key)
	case r.Envelope != s.Delivery.Envelope:
		return r, problem(api.CodeInvalid, "the receipt is for another envelope (%s)", r.Envelope)
	}
	return r, nil
}
