package certs

import (
	"maps"
	"slices"
)

// Pending gives the tokens for which an answer is there.
func Pending(a *ACME) []string {
	a.answers.mu.Lock()
	defer a.answers.mu.Unlock()
	return slices.Sorted(maps.Keys(a.answers.tokens))
}
