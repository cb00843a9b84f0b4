package hub

import (
	"errors"
	"strings"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/spool"
	"sealpost/statement"
)

// hybridPrefix begins each recipient key of the suite hybrid, and none of x25519.
const hybridPrefix = "age1pq1"

// putKey stores the caller's recipient-key statement. The hub's checks show honest mistakes early;
// other sites check the statement again and trust only their pins.
func (c *call) putKey(in api.KeyUpload) error {
	h := c.hub
	signed, err := statement.Open[statement.RecipientKey](in.Statement, h.verifier, h.now())
	if err != nil {
		return problem(statementCode(err), "the statement: %v", err)
	}
	h.dir.change.Lock()
	defer h.dir.change.Unlock()
	s := h.dir.view().sites[c.caller.Name] // read again under the lock
	if err := checkKey(s, signed, h.config.Suite); err != nil {
		return err
	}
	k := signed.Payload
	if s.Statement == in.Statement {
		return c.reply(nil)
	}
	s.Statement, s.Version, s.Payload, s.KeyHash = in.Statement, k.Version, k.Hash(),
		statement.RecipientKeyHash(k.Recipient)
	if err := h.changeSite(spool.WithNote(c.r.Context(), spool.AuditNote{By: "site " +
		string(s.Name), Call: api.PathKey}), s); err != nil {
		return err
	}
	c.log.Info("recipient key stored", "version", k.Version, "hash", s.KeyHash)
	return c.reply(nil)
}

// checkKey returns an error if the statement may not replace the stored one. A repeated payload
// may: it comes with newer certificates. A version may skip numbers: a new hub has not seen them
// all.
func checkKey(s site, signed statement.Signed[statement.RecipientKey], suite string) error {
	k := signed.Payload
	switch {
	case signed.Site != s.Name || k.Site != s.Name:
		return problem(api.CodeNotAllowed, "the statement speaks for %s, and %s sent it", k.Site,
			s.Name)
	case signed.Key != s.Key:
		return problem(api.CodeNotAllowed, "the statement is signed with the key %s, and %s has %s",
			signed.Key, s.Name, s.Key)
	case strings.HasPrefix(k.Recipient, hybridPrefix) != (suite == config.SuiteHybrid):
		return problem(api.CodeInvalid, "the recipient key is not of the network's suite, %s",
			suite)
	case s.Statement == "" || k.Hash() == s.Payload:
		return nil
	case k.Version <= s.Version:
		return problem(api.CodeConflict, "version %d of the recipient key cannot take the place "+
			"of version %d", k.Version, s.Version)
	case k.Version == s.Version+1 && k.Prev != s.Payload:
		return problem(api.CodeConflict, "version %d of the recipient key does not name version "+
			"%d as the one before it", k.Version, s.Version)
	}
	return nil
}

// statementCode returns the problem code for a statement that does not open.
func statementCode(err error) api.Code {
	switch {
	case errors.Is(err, certs.ErrNotValidNow):
		return api.CodeExpired
	case errors.Is(err, statement.ErrSignature), errors.Is(err, certs.ErrUntrusted):
		return api.CodeNotAllowed
	}
	return api.CodeInvalid
}
