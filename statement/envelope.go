package statement

import "sealpost/internal/id"

const maxStatement = 16 << 10 // bytes of a statement other than a receipt

// EnvelopeSignature binds an envelope's content to its sender. It names no site: the caller
// compares Signed.Site.
type EnvelopeSignature struct {
	V    int     `json:"v"`    // 1
	Head id.Hash `json:"head"` // SHA-256 of message.json
	Body id.Hash `json:"body"` // SHA-256 of the digests of all messages
}

func (EnvelopeSignature) typ() string                 { return "sealpost-envelope-v1" }
func (EnvelopeSignature) maxSize() int                { return maxStatement }
func (EnvelopeSignature) speaker() (id.Hash, id.Site) { return "", "" }

func (s EnvelopeSignature) validate() error {
	return first(version(s.V), hash("head", s.Head), hash("body", s.Body))
}
