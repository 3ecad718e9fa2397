package wire

import (
	"encoding/json"
	"net/http"

	"ringback/callback"
)

// Reply answers an inbound request with a value as JSON.
func Reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		Refuse(w, &callback.Fault{Code: callback.CodeInternal, Detail: "the answer could not be written"})
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // whoever asked may be gone
}
