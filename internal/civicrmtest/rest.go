package civicrmtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxForm is post_max_size as PHP ships it: of more, PHP shows nothing.
const maxForm = 8 << 20

const page = "<!DOCTYPE html>\n<html><head><title>Site under maintenance</title></head><body><h1>We will be back</h1></body></html>\n"

// A failure is an answer that CiviCRM calls an error.
type failure struct {
	status  int    // of APIv4
	code    string // error_code
	message string
}

func (f *failure) Error() string { return f.message }

// ServeHTTP answers a call of either API.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	fault, healed := s.fault, s.healed
	s.mu.Unlock()
	if s.faulty(w, fault) {
		return
	}
	if fault == Deaf {
		hang(r, healed)
		return
	}
	form, ok := s.gate(w, r)
	if !ok {
		return
	}
	switch v3 := form["entity"] != ""; { // APIv4 has the entity in the path
	case fault == DatabaseError:
		write(w, http.StatusOK, map[string]any{"is_error": 1, "error_message": "DB Error: unknown error"})
		return
	case fault == NoAPIv4 && !v3:
		http.NotFound(w, r)
		return
	case fault == BrokenAPIv4 && !v3:
		write(w, http.StatusInternalServerError, map[string]any{"error_code": 0, "error_message": "Class not found"})
		return
	case !v3 && !strings.HasSuffix(r.URL.Path, "/update") && !strings.HasSuffix(r.URL.Path, "/create"), v3 && form["action"] == "get":
		fault = Healthy
	}
	status, answer := s.call(r.URL.Path, form)
	if !lost(w, r, fault, healed) {
		write(w, status, answer)
	}
}

// lost loses the answer to a call that was carried out.
func lost(w http.ResponseWriter, r *http.Request, f Fault, healed <-chan struct{}) bool {
	switch f {
	case Mute:
		hang(r, healed)
	case Endless:
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat(" ", 64<<10)); err != nil {
				break
			}
		}
	case Cut:
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, `{"is_error":0,"ver`)
	default:
		return false
	}
	return true
}

// faulty answers with what a site says that does not come to its API.
func (s *Site) faulty(w http.ResponseWriter, f Fault) bool {
	html := func(status int) bool {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		io.WriteString(w, page)
		return true
	}
	switch f {
	case Maintenance:
		return html(http.StatusServiceUnavailable)
	case Page:
		return html(http.StatusOK)
	case Forbidden:
		return html(http.StatusForbidden)
	case Broken:
		w.WriteHeader(http.StatusInternalServerError)
		return true
	case Moved:
		w.Header().Set("Location", "https://elsewhere.example/")
		w.WriteHeader(http.StatusFound)
		return true
	case Garbage:
		io.WriteString(w, "PHP Fatal error: Allowed memory size exhausted")
		return true
	}
	return false
}

func hang(r *http.Request, healed <-chan struct{}) {
	select {
	case <-healed:
	case <-r.Context().Done():
	}
	panic(http.ErrAbortHandler)
}

// gate lets those in who have the key, and reads their form.
func (s *Site) gate(w http.ResponseWriter, r *http.Request) (form map[string]string, ok bool) {
	rest := r.URL.Path == "/civicrm/ajax/rest"
	if !rest && !strings.HasPrefix(r.URL.Path, "/civicrm/ajax/api4/") {
		http.NotFound(w, r)
		return nil, false
	}
	if r.Header.Get("X-Civi-Auth") != "Bearer "+s.APIKey || s.SiteKey != "" && r.Header.Get("X-Civi-Key") != s.SiteKey {
		http.Error(w, "HTTP 401 Invalid credential", http.StatusUnauthorized)
		return nil, false
	}
	if r.Method != http.MethodPost || r.Header.Get("X-Requested-With") != "XMLHttpRequest" {
		write(w, http.StatusOK, map[string]any{"is_error": 1, "error_message": "SECURITY ALERT: Ajax requests can only be issued by javascript clients, eg. CRM.api3()."})
		return nil, false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	form = map[string]string{}
	parse := r.ParseForm
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		parse = func() error { return r.ParseMultipartForm(maxForm) }
	}
	if parse() == nil {
		for name := range r.PostForm {
			form[name] = r.PostForm.Get(name)
		}
	}
	return form, true
}

// call carries a call out and gives its answer.
func (s *Site) call(path string, form map[string]string) (status int, answer map[string]any) {
	call := Call{Entity: form["entity"], Action: form["action"]}
	text, v4 := form["json"], false
	if rest, ok := strings.CutPrefix(path, "/civicrm/ajax/api4/"); ok {
		call.Entity, call.Action, _ = strings.Cut(rest, "/")
		text, v4 = form["params"], true
	}
	values, err := []map[string]any{}, error(nil)
	if text == "1" {
		call.Params, text = flat(form), ""
	}
	params := json.NewDecoder(strings.NewReader(cmp.Or(text, "{}")))
	params.UseNumber()
	if err = params.Decode(&call.Params); err == nil {
		s.mu.Lock()
		if v4 {
			values, err = s.v4(call)
		} else {
			values, err = s.v3(call)
		}
		s.mu.Unlock()
	}
	call.Applied = err == nil
	s.Calls.Add(call)
	switch f, known := err.(*failure); {
	case err == nil && v4:
		return http.StatusOK, map[string]any{"values": values, "count": len(values)}
	case err == nil:
		return http.StatusOK, map[string]any{"is_error": 0, "version": 3, "count": 0, "values": values}
	case known && v4:
		return cmp.Or(f.status, http.StatusInternalServerError), map[string]any{"error_code": 0, "error_message": f.message}
	case known:
		answer = map[string]any{"is_error": 1, "error_message": f.message}
		if f.code != "" {
			answer["error_code"] = f.code
		}
		return http.StatusOK, answer
	}
	return http.StatusOK, map[string]any{"is_error": 1, "error_message": fmt.Sprint(err)}
}

// flat gives the parameters of a call that has each in a field.
func flat(form map[string]string) map[string]any {
	params := map[string]any{}
	for name, v := range form {
		if name != "entity" && name != "action" && name != "json" {
			params[name] = v
		}
	}
	return params
}

func write(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(answer) // a client that is gone is its own affair
}
