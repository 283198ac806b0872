package web

import (
	"errors"
	"net/http"
	"time"

	"homing/internal/duration"
	"homing/server/token"
)

// A Token is what is known of a token, as the API words it.
type Token struct {
	Name        string     `json:"name"`
	Application string     `json:"application,omitempty"` // "": an operator's
	Operator    bool       `json:"operator"`
	Created     time.Time  `json:"created"`
	By          string     `json:"by"`
	Expires     *time.Time `json:"expires"` // null: never
	Used        string     `json:"used"`    // the day, "2026-11-23"; "": never
	Overlap     *time.Time `json:"overlap,omitempty"`
	Secret      string     `json:"token,omitempty"` // shown once
}

// TokenList is what GET /api/v1/tokens answers.
type TokenList struct {
	Tokens []Token `json:"tokens"`
}

func tokenOf(t token.Token) Token {
	out := Token{Name: t.Name, Application: t.Application, Operator: t.Operator, Created: t.Created.UTC(), By: t.By}
	if !t.Expires.IsZero() {
		out.Expires = utc(t.Expires)
	}
	if !t.Used.IsZero() {
		out.Used = t.Used.UTC().Format(time.DateOnly)
	}
	if !t.Overlap.IsZero() {
		out.Overlap = utc(t.Overlap)
	}
	return out
}

func (w *Web) listTokens(rw http.ResponseWriter, r *http.Request) {
	if _, err := parameters(r); err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	out := TokenList{Tokens: []Token{}}
	for _, t := range w.Tokens.List() {
		out.Tokens = append(out.Tokens, tokenOf(t))
	}
	w.answer(rw, out)
}

// AddToken is the request for a new token.
type AddToken struct {
	Name        string `json:"name"`
	Application string `json:"application,omitempty"`
	Operator    bool   `json:"operator,omitempty"`
	Expires     string `json:"expires,omitempty"` // after how long, such as "90d"; "": never
	By          string `json:"by,omitempty"`
}

func (w *Web) addToken(rw http.ResponseWriter, r *http.Request) {
	var in AddToken
	if !decode(rw, r, &in) {
		return
	}
	t := token.Token{Name: in.Name, Application: in.Application, Operator: in.Operator, By: callerOf(r).by(in.By)}
	err := w.checkApplication(in.Application)
	if err == nil && len(in.By) > maxWords {
		err = errors.New("by: want at most 1000 octets")
	}
	if err == nil && in.Expires != "" {
		var d time.Duration
		if d, err = duration.Parse(in.Expires); err == nil && d <= 0 {
			err = errors.New("expires: want a time that is still to come")
		}
		t.Expires = w.Now().Add(d)
	}
	if err != nil {
		problem(rw, http.StatusUnprocessableEntity, err.Error())
		return
	}
	secret, err := w.Tokens.Add(r.Context(), t)
	w.answerToken(rw, r, in.Name, secret, err)
}

// RotateToken is the request for another token in the place of one.
type RotateToken struct {
	Overlap string `json:"overlap,omitempty"` // how long the old one goes on to count, such as "1h"; "": not at all
}

func (w *Web) rotateToken(rw http.ResponseWriter, r *http.Request) {
	var in RotateToken
	if !decode(rw, r, &in) {
		return
	}
	var overlap time.Duration
	if in.Overlap != "" {
		var err error
		if overlap, err = duration.Parse(in.Overlap); err != nil {
			problem(rw, http.StatusUnprocessableEntity, "overlap: "+err.Error())
			return
		}
	}
	name := r.PathValue("name")
	secret, err := w.Tokens.Rotate(r.Context(), name, overlap)
	w.answerToken(rw, r, name, secret, err)
}

// answerToken answers a token that was made, which is shown this once.
func (w *Web) answerToken(rw http.ResponseWriter, r *http.Request, name, secret string, err error) {
	if err != nil {
		w.tokenFailed(rw, r, err)
		return
	}
	w.Log.Info("a token was made", "token", name, "by", callerOf(r).name)
	for _, t := range w.Tokens.List() {
		if t.Name == name {
			out := tokenOf(t)
			out.Secret = secret
			w.answer(rw, out)
			return
		}
	}
	w.tokenFailed(rw, r, token.ErrNone) // somebody has removed it meanwhile
}

func (w *Web) removeToken(rw http.ResponseWriter, r *http.Request) {
	if _, err := parameters(r); err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	name := r.PathValue("name")
	if err := w.Tokens.Remove(r.Context(), name); err != nil {
		w.tokenFailed(rw, r, err)
		return
	}
	w.Log.Info("a token was removed", "token", name, "by", callerOf(r).name)
	w.answer(rw, struct {
		Removed bool `json:"removed"`
	}{true})
}

func (w *Web) tokenFailed(rw http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, token.ErrNone):
		problem(rw, http.StatusNotFound, "there is no token of this name: `homing token list` shows those there are")
	case errors.Is(err, token.ErrExists):
		problem(rw, http.StatusConflict, "there is a token of this name already: choose another name, or rotate that one")
	case errors.Is(err, token.ErrName):
		problem(rw, http.StatusUnprocessableEntity, "name: want up to 64 letters, digits and . _ -")
	case errors.Is(err, token.ErrOwner):
		problem(rw, http.StatusUnprocessableEntity, "application, operator: want one of them, to say whose the token is")
	case errors.Is(err, token.ErrMany):
		problem(rw, http.StatusConflict, "there are too many tokens: remove some that nobody uses")
	default:
		w.failed(rw, r, err)
	}
}
