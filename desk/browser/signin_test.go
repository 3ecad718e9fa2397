package browser_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/oauth2-proxy/mockoidc"
	"github.com/stretchr/testify/require"

	"ringback/config"
	"ringback/desk/browser"
	"ringback/identity"
	"ringback/store"
)

// door opens a house that people sign in to as in production; change alters how.
func door(t *testing.T, change func(*identity.Options)) *house {
	t.Helper()
	l := listenLively(t)
	l.options.SignIn = func(s *store.Store) (*identity.SignIn, error) {
		o := identity.Options{
			Book: s, Organization: "Example desk", PublicURL: l.base, Listen: l.address, Logger: l.options.Logger, Ranks: config.Builtin().Tiers,
		}
		change(&o)
		return identity.New(o)
	}
	l.up()
	return l.house
}

// The page of a first look: choose who to be, by keyboard alone, and out again.
func TestSigningInByKeyboard(t *testing.T) {
	h := door(t, func(o *identity.Options) { o.Dev = true })
	w := browser.Open(t, h.base, browser.Look{})
	w.Go("/board?lanes=tier")
	w.At("^/sign-in$")
	tabTo(w, "document.activeElement.value === 'sup1'")
	w.Type(kb.Enter)
	w.At("^/board$")
	w.Until("location.search === '?lanes=tier' && document.documentElement.dataset.me === 'sup1'")
	out(w)
	w.Go("/board")
	w.At("^/sign-in$")
	tabTo(w, "document.activeElement.value === 'mgr1'")
	w.Type(" ")
	w.At("^/board$")
	w.Until("document.documentElement.dataset.me === 'mgr1'")
}

// out signs out by keyboard.
func out(w *browser.Window) {
	w.Until("document.documentElement.dataset.ready !== undefined")
	tabTo(w, "document.activeElement.getAttribute('popovertarget') === 'account'")
	w.Type(kb.Enter)
	w.Is("#account:popover-open")
	tabTo(w, "document.activeElement.textContent === 'Sign out'")
	w.Type(kb.Enter)
	w.At("^/sign-in$")
	w.Says("You are signed out.")
}

// At a provider: there and back again, to the page that was asked for.
func TestSigningInAtAProviderByKeyboard(t *testing.T) {
	provider, err := mockoidc.Run()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, provider.Shutdown()) })
	h := door(t, func(o *identity.Options) {
		o.OIDC = &identity.OIDC{
			Issuer: provider.Issuer(), ClientID: provider.ClientID, ClientSecret: provider.ClientSecret, Audience: []string{provider.ClientID},
			Scopes: []string{"openid", "profile", "groups"}, Title: "Train ID", ClockSkew: time.Minute,
			Claims: identity.Claims{
				ID:     identity.Claim{Path: []string{"preferred_username"}},
				Tier:   identity.Claim{Path: []string{"groups"}, Values: map[string][]string{"engineering": {"supervisor"}}},
				Queues: identity.Claim{Path: []string{"groups"}, Values: map[string][]string{"design": {"Supervisors - RM"}}},
			},
		}
	})
	id, err := h.Promise(t.Context(), "assoc1")
	require.NoError(t, err)
	w := browser.Open(t, h.base, browser.Look{})
	w.Expect(`^asked ` + regexp.QuoteMeta(provider.Addr()) + `/`) // nobody else is asked for anything, ever
	w.Go("/callbacks/" + id)
	w.At("^/sign-in$")
	w.Says("Sign in with Train ID")
	w.Gone("button[name=staff_id]")
	tabTo(w, "document.activeElement.textContent === 'Sign in with Train ID'")
	w.Type(kb.Enter)
	w.At("^/callbacks/" + id + "$")
	w.Until("document.documentElement.dataset.me === 'jane.doe'")
	w.Until("document.querySelector('form[data-command=claim] button')")
	tabTo(w, "document.activeElement.textContent === 'Claim'")
	w.Type(kb.Enter)
	w.Says("Claimed: it is yours.")
	out(w)
	w.Go("/callbacks/" + id)
	w.At("^/sign-in$")
}

// The pages of the sign-in are in the theme that was chosen at the desk, whatever
// the system's is.
func TestTheSignInIsInTheThemeThatWasChosenAtTheDesk(t *testing.T) {
	h := door(t, func(o *identity.Options) { o.Dev = true })
	for _, test := range []struct {
		choice, paper string
		systemDark    bool
	}{{"dark", "rgb(15, 21, 25)", false}, {"light", "rgb(243, 245, 246)", true}} {
		w := browser.Open(t, h.base, browser.Look{Dark: test.systemDark})
		w.Go("/sign-in")
		w.Click("button[value=sup1]")
		w.At("^/$")
		w.Until("document.documentElement.dataset.ready !== undefined")
		w.Click("[popovertarget=account]")
		w.Is("#account:popover-open")
		w.Click("#account label:has([data-theme-choice][value=" + test.choice + "])")
		w.Until("document.documentElement.dataset.theme === '" + test.choice + "'")
		for _, path := range []string{"/sign-out", "/sign-in?signed_out"} {
			w.Go(path)
			var shown struct{ Paper, Scheme string }
			w.Eval("(({backgroundColor, colorScheme}) => ({Paper: backgroundColor, Scheme: colorScheme}))(getComputedStyle(document.body))", &shown)
			require.Equal(t, test.paper, shown.Paper, path)
			require.Equal(t, test.choice, shown.Scheme, path)
			require.Empty(t, w.Axe(), path)
		}
	}
}

// The pages of the sign-in, at both widths and in both themes, as every page.
func TestTheSignInIsAccessibleAndFits(t *testing.T) {
	provider := &identity.OIDC{Issuer: "https://id.example.com", ClientID: "desk", ClientSecret: "secret", Audience: []string{"desk"}, Scopes: []string{"openid"}, Title: "Train ID"}
	h := door(t, func(o *identity.Options) { o.Dev, o.OIDC = true, provider })
	for _, width := range []int64{1440, 390} {
		w := browser.Open(t, h.base, browser.Look{Width: width, Height: 844})
		w.Expect(`status of 404 .*/sign-in/nothing$`)
		for _, path := range []string{"/sign-in", "/sign-in?signed_out", "/sign-in/nothing", "/", "/sign-in", "/sign-out"} {
			if path == "/" { // from here on as somebody
				w.Go(path)
				w.Click("button[value=sup1]")
				w.At("^/$")
				continue
			}
			w.Go(path)
			var wide string
			w.Eval(overflow, &wide)
			require.Empty(t, wide, "%s at %d", path, width)
			for _, dark := range []bool{false, true} {
				w.Look(browser.Look{Width: width, Height: 844, Dark: dark})
				require.Empty(t, w.Axe(), "%s at %d, dark %v", path, width, dark)
			}
			w.Look(browser.Look{Width: width, Height: 844})
		}
	}
}
