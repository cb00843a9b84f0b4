package statement

// The refusal codes. The list is closed, because the hub reads it: a code says which rule was broken and nothing about
// content or names. All but CodeUIDReused are about the whole envelope, and each needs the proof that FORMAT.md asks for.
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

// Code is a refusal code with what it means for people. Step is the one of FORMAT.md's checks that failed.
type Code struct {
	Code    string
	Step    int
	Meaning string
}

// Codes lists all refusal codes, in the order of the checks. Nobody changes it.
var Codes = [...]Code{
	{CodeHeaderInvalid, 2, "its encryption header is not one of this network's"},
	{CodeNotForMe, 2, "it is not encrypted for this site's keys"},
	{CodeCiphertext, 2, "it does not decrypt: it was damaged before it was published"},
	{CodeMetadataInvalid, 3, "its description is missing or not well formed"},
	{CodeMetadataMismatch, 3, "its description differs from what the hub announced"},
	{CodeEntryInvalid, 4, "it holds something that does not belong there, or in the wrong order"},
	{CodeNameUnusable, 4, "it holds a name that cannot safely be used on every system"},
	{CodeTooLarge, 4, "it is larger than the format allows"},
	{CodeSignatureInvalid, 6, "its signature is missing, not well formed, or does not fit"},
	{CodeSignerUntrusted, 6, "its signer is not vouched for by this network's root"},
	{CodeSignerMismatch, 6, "somebody else than its sender signed it"},
	{CodeDigestMismatch, 6, "its content is not what its sender signed"},
	{CodeTrailingData, 7, "something follows where it should end"},
	{CodeUIDReused, 8, "its sender used the same identity before for other content"},
}

// Meaning says for people what a refusal code means, and "" for what is no code.
func Meaning(code string) string {
	for _, c := range Codes {
		if c.Code == code {
			return c.Meaning
		}
	}
	return ""
}
