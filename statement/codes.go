package statement

// The refusal codes. The list is closed, because the hub reads it: a code names the broken rule and
// nothing of content or names. CodeUIDReused refuses one message; so do CodeNameUnusable and
// CodeTooLarge at step 9, for a disk that cannot take it. All others refuse the whole envelope.
// Each needs the proof of FORMAT.md.
const (
	CodeHeaderInvalid    = "header-invalid"
	CodeNotForMe         = "not-for-me"
	CodeCiphertext       = "ciphertext-damaged"
	CodeMetadataInvalid  = "metadata-invalid"
	CodeMetadataMismatch = "metadata-mismatch"
	CodeEntryInvalid     = "entry-invalid"
	CodeNameUnusable     = "name-unusable"
	CodeTooLarge         = "too-large"
	CodeSignatureInvalid = "signature-invalid"
	CodeSignerUntrusted  = "signer-untrusted"
	CodeSignerMismatch   = "signer-mismatch"
	CodeDigestMismatch   = "digest-mismatch"
	CodeTrailingData     = "trailing-data"
	CodeUIDReused        = "uid-reused"
)

// Code is a refusal code with its meaning for users. Step is the number of the failed check in
// FORMAT.md.
type Code struct {
	Code    string
	Step    int
	Meaning string
}

// Codes lists all refusal codes, in the order of the checks. It is never changed.
var Codes = [...]Code{
	{CodeHeaderInvalid, 2, "its encryption header is not one of this network's"},
	{CodeNotForMe, 2, "it is not encrypted for this site's keys"},
	{CodeCiphertext, 2, "it does not decrypt: it was damaged before it was published"},
	{CodeMetadataInvalid, 3, "its description is missing or not well formed"},
	{CodeMetadataMismatch, 3, "its description differs from what the hub announced"},
	{CodeEntryInvalid, 4, "it holds something that does not belong there, or in the wrong order"},
	{CodeTooLarge, 4,
		"it is larger than the disk of the inbox there takes files, or than the format allows"},
	{CodeSignatureInvalid, 6, "its signature is missing, not well formed, or does not fit"},
	{CodeSignerUntrusted, 6, "its signer is not vouched for by this network's root"},
	{CodeSignerMismatch, 6, "it was not signed by its sender"},
	{CodeDigestMismatch, 6, "its content is not what its sender signed"},
	{CodeTrailingData, 7, "something follows where it should end"},
	{CodeUIDReused, 8, "its sender used the same identity before for other content"},
	{CodeNameUnusable, 9,
		"the disk of the inbox there takes neither its name nor a shorter one, or not those in it"},
}

// Meaning returns the meaning of a refusal code for users, or "" for another text.
func Meaning(code string) string {
	for _, c := range Codes {
		if c.Code == code {
			return c.Meaning
		}
	}
	return ""
}
