package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"ringback/callback"
)

// flow is one sign-in under way at the provider (RFC 6749 §4.1, RFC 7636,
// OpenID Connect Core §3.1). It is kept in the browser's session, and used once.
type flow struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Next     string    `json:"next"`
	At       time.Time `json:"at"`
}

const (
	// flowLasts is how long somebody may take at the provider.
	flowLasts = 10 * time.Minute
	// mostFlows is how many a browser may have under way: its tabs.
	mostFlows = 5
)

func (s *SignIn) redirectURL() string {
	return s.base.Scheme + "://" + s.base.Host + "/sign-in/callback"
}

// begin sends the browser to the provider.
func (s *SignIn) begin(w http.ResponseWriter, r *http.Request) {
	if !s.o.Throttle.Begin(r) {
		s.tooMany(w, r)
		return
	}
	known, err := s.provider.discover(r.Context(), s.redirectURL())
	if err != nil {
		s.away(w, r, err)
		return
	}
	f := flow{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: safeNext(r.URL.Query().Get("next")), At: s.o.Now().UTC(),
	}
	if err := s.flows.add(w, r, f); err != nil {
		s.away(w, r, err)
		return
	}
	http.Redirect(w, r, known.oauth.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), http.StatusSeeOther)
}

// back is where the provider sends the browser back to.
func (s *SignIn) back(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f, err := s.flows.take(w, r, q.Get("state"))
	var refused *refusal
	if err == nil {
		err = s.finish(w, r, f, q)
	}
	switch {
	case err == nil:
	case errors.As(err, &refused):
		s.failed(w, r, callback.CodeForbidden, words(refused.why), refused.why)
	default:
		s.away(w, r, err)
	}
}

// words are what somebody is told who was not signed in. They say nothing of
// who works here: whoever reads them has proved at the provider who they are, or nothing.
func words(why string) string {
	switch why {
	case "unknown_state":
		return "This sign-in was not begun in this browser, was finished already, or took too long. Begin again."
	case "inactive", "nobody_here", "no_tier", "no_staff_id", "staff_id_is_another_subjects":
		return "You have proved who you are, but this desk does not know you as somebody who works here. Ask your administrator."
	}
	return "The provider did not sign you in. Begin again; if it happens once more, ask your administrator."
}

var saneError = regexp.MustCompile(`^[a-z_]{1,40}$`)

func (s *SignIn) finish(w http.ResponseWriter, r *http.Request, f flow, q url.Values) error {
	if said := q.Get("error"); said != "" {
		if !saneError.MatchString(said) {
			said = "error"
		}
		return &refusal{"provider_said_" + said}
	}
	if iss := q.Get("iss"); iss != "" && iss != s.o.OIDC.Issuer { // RFC 9207
		return &refusal{"issuer"}
	}
	known, err := s.provider.discover(r.Context(), s.redirectURL())
	if err != nil {
		return err
	}
	client := &http.Client{Transport: s.o.OIDC.Transport, Timeout: providerPatience}
	ctx := context.WithValue(r.Context(), oauth2.HTTPClient, client)
	given, err := known.oauth.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(f.Verifier))
	var answered *oauth2.RetrieveError
	switch {
	case errors.As(err, &answered) && answered.Response.StatusCode < http.StatusInternalServerError:
		return &refusal{"code_refused"}
	case err != nil:
		return errors.Join(errProviderAway, errors.New("the code could not be exchanged")) // the error may hold what was sent
	}
	raw, ok := given.Extra("id_token").(string)
	if !ok {
		return &refusal{"no_id_token"}
	}
	token, err := s.provider.verify(ctx, known.ids, raw)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(f.Nonce)) != 1 {
		return &refusal{"nonce"}
	}
	var party struct {
		Authorized string `json:"azp"`
	}
	if err := token.Claims(&party); err != nil || party.Authorized != "" && party.Authorized != s.o.OIDC.ClientID {
		return &refusal{"authorized_party"}
	}
	if token.AccessTokenHash != "" && token.VerifyAccessToken(given.AccessToken) != nil {
		return &refusal{"access_token_hash"}
	}
	besides, err := s.userInfo(ctx, known, given, token.Subject)
	if err != nil {
		return err
	}
	m, err := s.understand(token, besides)
	if err != nil {
		return err
	}
	p, err := s.meet(ctx, m)
	if err != nil {
		return err
	}
	s.welcome(w, r, &p, byProvider, f.Next)
	return nil
}

// userInfo asks the provider for more claims, where that is configured.
func (s *SignIn) userInfo(ctx context.Context, known *discovered, given *oauth2.Token, subject string) (map[string]any, error) {
	if !s.o.OIDC.UserInfo {
		return nil, nil //nolint:nilnil // nothing is asked
	}
	info, err := known.provider.UserInfo(ctx, oauth2.StaticTokenSource(given))
	if err != nil {
		return nil, errors.Join(errProviderAway, errors.New("its user info"))
	}
	var claims map[string]any
	if err := info.Claims(&claims); err != nil || info.Subject != "" && info.Subject != subject {
		return nil, &refusal{"userinfo"}
	}
	return claims, nil
}

// flows are the sign-ins that a browser has under way: in a session of their
// own, so that one who is signed in stays so until the next one is finished.
type flows struct{ *sessions }

func (s *flows) under(ctx context.Context) []flow {
	var all []flow
	if json.Unmarshal(s.scs.GetBytes(ctx, keyFlows), &all) != nil {
		return nil
	}
	return slices.DeleteFunc(all, func(f flow) bool { return s.now().Sub(f.At) >= flowLasts })
}

func (s *flows) keep(ctx context.Context, w http.ResponseWriter, all []flow) error {
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	s.scs.Put(ctx, keyFlows, b)
	return s.commit(ctx, w, "", flowLasts)
}

func (s *flows) add(w http.ResponseWriter, r *http.Request, f flow) error {
	ctx, _, err := s.load(r)
	if err != nil {
		return err
	}
	all := append(s.under(ctx), f)
	return s.keep(ctx, w, all[max(0, len(all)-mostFlows):])
}

// take finds the flow of a state, which is then gone.
func (s *flows) take(w http.ResponseWriter, r *http.Request, state string) (flow, error) {
	ctx, _, err := s.load(r)
	if err != nil {
		return flow{}, err
	}
	all := s.under(ctx)
	i := slices.IndexFunc(all, func(f flow) bool {
		return state != "" && subtle.ConstantTimeCompare([]byte(f.State), []byte(state)) == 1
	})
	if i < 0 {
		return flow{}, &refusal{"unknown_state"}
	}
	f := all[i]
	return f, s.keep(ctx, w, slices.Delete(all, i, i+1))
}
