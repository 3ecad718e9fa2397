package serve

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/config"
	"ringback/store"
)

// everything is the block of CONTRACT §6, as it stands there.
const everything = `
connectors:
  freshdesk: {url: "https://acme.freshdesk.com", api_key_env: FRESHDESK_API_KEY, webhook_token_env: FRESHDESK_WEBHOOK_TOKEN,
              policy: supervisor-callback, groups: {"Supervisors - RM": 101, "Managers - RM": 102}}
  zohodesk: {url: "https://desk.zoho.com", accounts_url: "https://accounts.zoho.com", org_id: "1", department_id: "2",
             client_id_env: ZOHO_CLIENT_ID, client_secret_env: ZOHO_CLIENT_SECRET, refresh_token_env: ZOHO_REFRESH_TOKEN}
  oneview: {url: "https://oneview.example/notes", secret_env: ONEVIEW_SECRET}
  servicebench:
    secret_env: SERVICEBENCH_SECRET
    drop_dir: inbox/exceptions
    routes:
      - {exception_type: "Customer Callback", user_id: "BPO1*", policy: callback-exception, queue: "Callback BPO 1"}
  mailbox: {imap: "imaps://mail.example:993", user_env: MAIL_USER, password_env: MAIL_PASSWORD, folder: INBOX,
            policy: executive-escalation, assign: {default: exec1}}
  smtp: {url: "smtps://mail.example:465", from: "desk@example.com"}
  webhooks: [{url: "https://example.com/hook", secret_env: HOOK_SECRET, types: [escalated, breached, completed]}]
`

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// configured is the built-in configuration with connectors.
func configured(t *testing.T, connectors string, unset ...string) (*config.Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ringback.yaml")
	require.NoError(t, os.WriteFile(file, append(config.BuiltinYAML(), connectors...), 0o600))
	var environ []string
	for _, name := range []string{
		"FRESHDESK_API_KEY", "FRESHDESK_WEBHOOK_TOKEN", "ZOHO_CLIENT_ID", "ZOHO_CLIENT_SECRET", "ZOHO_REFRESH_TOKEN", "ONEVIEW_SECRET",
		"SERVICEBENCH_SECRET", "MAIL_USER", "MAIL_PASSWORD", "HOOK_SECRET",
	} {
		if len(unset) == 0 || unset[0] != name {
			environ = append(environ, name+"="+secret)
		}
	}
	c, err := config.Load(config.Source{File: file, Environ: environ})
	if err != nil {
		return nil, err
	}
	return c, CheckConnectors(c)
}

func deskOf(c *config.Config, s *store.Store) *Desk {
	return &Desk{Config: c, Store: s, Logger: slog.New(slog.DiscardHandler)}
}

func connected(t *testing.T, c *config.Config) ([]string, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	s := opened(t)
	all, err := deskOf(c, s).connect(&floor{store: s})
	var names []string
	for _, made := range all {
		names = append(names, made.Name())
	}
	return names, err
}

func TestEverythingThatTheContractConfiguresIsMade(t *testing.T) {
	c, err := configured(t, everything)
	require.NoError(t, err)
	names, err := connected(t, c)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{
		"freshdesk", "zohodesk", "oneview", "servicebench", "mailbox", "smtp", "smtp:customers", "webhook:example.com",
	}, names)
}

func TestASecretThatIsNotThereIsOneMessage(t *testing.T) {
	c, err := configured(t, everything, "ONEVIEW_SECRET")
	require.NoError(t, err, "most commands speak to nobody")
	_, err = connected(t, c)
	var mistake *config.Error
	require.ErrorAs(t, err, &mistake)
	require.Contains(t, err.Error(), "ONEVIEW_SECRET")
	require.NotContains(t, err.Error(), secret)
}

func TestMistakesInBlocksNameTheirLine(t *testing.T) {
	for name, c := range map[string]struct{ from, to, want string }{
		"unknown key":    {`secret_env: ONEVIEW_SECRET`, `secret_env: ONEVIEW_SECRET, colour: red`, "connectors.oneview.colour"},
		"unknown policy": {`policy: callback-exception`, `policy: callback-exceptions`, "connectors.servicebench.routes[0].policy"},
		"unknown queue":  {`queue: "Callback BPO 1"}`, `queue: "Callback BPO 9"}`, "connectors.servicebench.routes[0].queue"},
		"unknown person": {`{default: exec1}`, `{default: exec9}`, "connectors.mailbox.assign.default"},
		"unknown type":   {`[escalated, breached, completed]`, `[escalated, gone]`, "connectors.webhooks[0].types[1]"},
		"no address":     {`oneview: {url: "https://oneview.example/notes", `, `oneview: {`, "connectors.oneview.url"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, everything, c.from)
			_, err := configured(t, strings.Replace(everything, c.from, c.to, 1))
			var mistake *config.Error
			require.ErrorAs(t, err, &mistake)
			require.Contains(t, err.Error(), c.want)
			require.Positive(t, mistake.Line)
		})
	}
}
