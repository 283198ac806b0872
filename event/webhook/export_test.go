package webhook

// Sign is what the tests look at from outside.
var Sign = sign
