package webhook

// What the tests look at from outside.
var (
	Sign         = sign
	ContactsWith = contactsWith
)
