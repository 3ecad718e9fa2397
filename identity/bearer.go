package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
)

// Authenticate implements api.Authenticator: bearer tokens of the provider.
func (s *SignIn) Authenticate(ctx context.Context, token string) (api.Principal, error) {
	if s.provider == nil || strings.Count(token, ".") != 2 {
		return api.Principal{}, api.ErrUnauthenticated
	}
	who, err := s.bearer(ctx, token)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		s.log.InfoContext(ctx, "token refused", "why", refused.why)
		return api.Principal{}, api.ErrUnauthenticated
	case errors.Is(err, errProviderAway):
		s.log.ErrorContext(ctx, "a token could not be checked", "error", err.Error())
		return api.Principal{}, &callback.Fault{Code: callback.CodeUnavailable, Detail: "the identity provider cannot be reached right now; nothing was sent"}
	}
	return who, err
}

func (s *SignIn) bearer(ctx context.Context, raw string) (api.Principal, error) {
	if !bearerType(raw) {
		return api.Principal{}, &refusal{"not_a_bearer_token"}
	}
	known, err := s.provider.discover(ctx, s.redirectURL())
	if err != nil {
		return api.Principal{}, err
	}
	token, err := s.provider.verify(ctx, known.bearers, raw)
	if err != nil {
		return api.Principal{}, err
	}
	if !slices.ContainsFunc(token.Audience, func(a string) bool { return slices.Contains(s.o.OIDC.Audience, a) }) {
		return api.Principal{}, &refusal{"audience"}
	}
	m, err := s.understand(token, nil)
	if err != nil {
		return api.Principal{}, err
	}
	return s.known.Ask(ctx, "subject "+m.Subject, func(ctx context.Context) (api.Principal, error) {
		p, err := s.meet(ctx, m)
		if err != nil {
			return api.Principal{}, err
		}
		return api.Principal{ID: p.ID, Staff: &p.Staff}, nil
	})
}

// bearerType tells access and ID tokens from other tokens that a provider signs
// for the same audience, such as logout tokens (RFC 8725 §3.11).
func bearerType(raw string) bool {
	header, _, _ := strings.Cut(raw, ".")
	b, err := base64.RawURLEncoding.DecodeString(header)
	var h struct {
		Type string `json:"typ"`
	}
	if err != nil || json.Unmarshal(b, &h) != nil {
		return false
	}
	kind := strings.TrimPrefix(strings.ToLower(h.Type), "application/")
	return kind == "" || kind == "jwt" || kind == "at+jwt"
}

// understand reads the claims of a token, and those that were given besides.
func (s *SignIn) understand(token *oidc.IDToken, besides map[string]any) (book.Meeting, error) {
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return book.Meeting{}, &refusal{"malformed"}
	}
	for name, v := range besides {
		if _, there := claims[name]; !there {
			claims[name] = v
		}
	}
	m, why := s.o.OIDC.Claims.meeting(s.o.OIDC.Issuer, token.Subject, claims, s.o.Ranks)
	if why != "" {
		return m, &refusal{why}
	}
	return m, nil
}

// meet finds, adds or changes who has proved to be somebody.
func (s *SignIn) meet(ctx context.Context, m book.Meeting) (book.Person, error) {
	p, err := s.o.Book.Meet(ctx, m)
	switch {
	case errors.Is(err, book.ErrSomebodyElse):
		return p, &refusal{"staff_id_is_another_subjects"}
	case errors.Is(err, book.ErrNobodyHere):
		return p, &refusal{"nobody_here"}
	case err == nil && p.Inactive:
		return p, &refusal{"inactive"}
	}
	return p, err
}
