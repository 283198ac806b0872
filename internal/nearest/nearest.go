// Package nearest guesses which word of a few somebody meant to write.
package nearest

import "strings"

// Word gives the word that text was probably meant to be; "": none is near.
func Word(text string, words []string) string {
	best, least := "", 1+max(1, len(text)/3)
	for _, w := range words {
		if n := distance(strings.ToLower(text), w); n < least {
			best, least = w, n
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or exchange with
// their neighbour to make b of a.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(replace, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
