package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"ringback/contract"
)

const minimal = `
tiers: {agent: 1}
policies: {p: {title: P, ladder: [{tier: agent, queue: Q, tat: 1h}], resolution_reasons: [{code: done, title: Done}]}}
`

func configFile(t *testing.T, settings string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ringback.yaml")
	require.NoError(t, os.WriteFile(file, []byte(minimal+settings), 0o600))
	return file
}

// other is a value of each setting that is not its default, three times over.
var other = map[string][3]string{
	"server.listen":              {"127.0.0.1:1001", "127.0.0.1:1002", "localhost:1003"},
	"server.metrics_listen":      {":1001", ":1002", "[::1]:1003"},
	"server.public_url":          {"https://one.example", "https://two.example:8443", "http://127.0.0.1:8080"},
	"server.dev_tokens":          {"true", "false", "true"},
	"server.requests_per_second": {"1", "2", "0"},
	"server.attempts_per_minute": {"1", "2", "0"},
	"server.trusted_proxies":     {"10.0.0.0/8", "192.0.2.7/32,10.0.0.0/8", "2001:db8::/32"},
	"database.url":               {"postgres://a/1", "postgresql://b/2", "postgres:///c?host=%2Frun"},
	"temporal.address":           {"a:1", "dns:///b:2", "c:3"},
	"temporal.namespace":         {"one", "two", "three.a1b2c"},
	"temporal.task_queue":        {"one", "two", "three"},
	"temporal.ui_url":            {"http://a", "https://b/ui", "https://c"},
	"temporal.tls.enabled":       {"true", "false", "true"},
	"temporal.tls.cert":          {"1.pem", "2.pem", "3.pem"},
	"temporal.tls.key":           {"1.pem", "2.pem", "3.pem"},
	"temporal.tls.ca":            {"1.pem", "2.pem", "3.pem"},
	"temporal.tls.server_name":   {"one", "two", "three"},
	"embedded.data":              {"one", "two", "three"},
	"embedded.temporal_port":     {"1", "2", "0"},
	"embedded.ui_port":           {"1", "0", "-1"},
	"telemetry.log_level":        {"debug", "warn", "error"},
	"telemetry.otlp_endpoint":    {"http://a:1", "https://b", "http://c:3/v1/traces"},
}

// TestPrecedence: default, then file, then variable, then flag, for every setting.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	for i, set := range settings {
		t.Run(set.Path, func(t *testing.T) {
			t.Parallel()
			values, ok := other[set.Path]
			require.True(t, ok, "a new setting: give it three values")
			file := fmt.Sprintf("%q", values[0])
			names := strings.Split(set.Path, ".")
			for _, name := range slices.Backward(names) { // temporal.tls.cert → temporal: {tls: {cert: …}}
				file = "{" + name + ": " + file + "}"
			}
			file = strings.TrimSuffix(strings.TrimPrefix(file, "{"), "}")
			// A certificate needs its key.
			environ := []string{"HOME=/nowhere", "RINGBACK_POSTGRES_PASSWORD=for somebody else", set.Env + "=" + values[1]}
			beside := map[string]string{"temporal.tls.cert": "temporal-tls-key", "temporal.tls.key": "temporal-tls-cert"}[set.Path]
			flags := func(own ...string) map[string]string {
				given := map[string]string{}
				if beside != "" {
					given[beside] = "beside.pem"
				}
				if len(own) > 0 {
					given[set.Flag] = own[0]
				}
				return given
			}

			shown := func(from Source) string {
				t.Helper()
				c, err := Load(from)
				require.NoError(t, err)
				return settings[i].shown(&c.Settings)
			}
			bare := configFile(t, "")
			require.Equal(t, set.Default, shown(Source{File: bare}))
			require.Equal(t, set.Default, shown(Source{File: bare, Environ: []string{set.Env + "="}}), "an empty variable is none")
			named := configFile(t, file+"\n")
			require.Equal(t, values[0], shown(Source{File: named, Flags: flags()}))
			require.Equal(t, values[0], shown(Source{Environ: []string{"RINGBACK_CONFIG=" + named}, Flags: flags()}))
			require.Equal(t, values[1], shown(Source{File: named, Flags: flags(), Environ: environ}))
			require.Equal(t, values[2], shown(Source{File: named, Flags: flags(values[2]), Environ: environ}))
			require.Equal(t, values[2], shown(Source{Flags: flags(values[2])}), "over the built-in configuration")
		})
	}
}

func TestMistakesOfVariablesAndFlags(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		env   []string
		flags map[string]string
		want  string
	}{
		{"variable", []string{"RINGBACK_LISTEN=8080"}, nil, `RINGBACK_LISTEN: expected HOST:PORT, like "127.0.0.1:8080"`},
		{"variable, no port", []string{"RINGBACK_LISTEN=127.0.0.1:http"}, nil, `RINGBACK_LISTEN: expected HOST:PORT, like "127.0.0.1:8080"`},
		{"flag", nil, map[string]string{"ui-port": "many"}, "--ui-port: expected a port from 1 to 65535, 0 for none, or -1 for any free one"},
		{"flag over a good variable", []string{"RINGBACK_LOG_LEVEL=warn"}, map[string]string{"log-level": "WARN"}, "--log-level: expected debug, info, warn or error"},
		{"password is not told", []string{"RINGBACK_DATABASE_URL=host=db password=hunter2"}, nil, `RINGBACK_DATABASE_URL: expected a PostgreSQL URL, like "postgres://USER:PASSWORD@HOST:5432/DATABASE"`},
		{"password that is no URL", []string{"RINGBACK_DATABASE_URL=postgres://u:hunter2%zz@db"}, nil, `RINGBACK_DATABASE_URL: expected a PostgreSQL URL, like "postgres://USER:PASSWORD@HOST:5432/DATABASE"`},
		{"bool", []string{"RINGBACK_DEV_TOKENS=maybe"}, nil, "RINGBACK_DEV_TOKENS: expected true or false"},
		{"dev tokens for the world", []string{"RINGBACK_DEV_TOKENS=1"}, map[string]string{"listen": "0.0.0.0:8080"}, `RINGBACK_DEV_TOKENS: expected false, or a loopback address to listen on, like "127.0.0.1:8080": such tokens prove nothing`},
		{"certificate alone", []string{"RINGBACK_TEMPORAL_TLS_CERT=c.pem"}, nil, "RINGBACK_TEMPORAL_TLS_CERT: expected temporal.tls.key beside it: a certificate is of no use without its key"},
		{"slip of the pen", []string{"RINGBACK_DATABSE_URL=postgres://u:hunter2@db/ringback"}, nil, "RINGBACK_DATABSE_URL: expected a known variable; did you mean RINGBACK_DATABASE_URL?"},
		{"Temporal's UI", []string{"RINGBACK_TEMPORAL_UI_URL=temporal-ui:8080"}, nil, `RINGBACK_TEMPORAL_UI_URL: expected an http or https URL, like "https://temporal.example.com"`},
		{"Temporal's UI, a script", nil, map[string]string{"temporal-ui-url": "javascript:alert(1)"}, `--temporal-ui-url: expected an http or https URL, like "https://temporal.example.com"`},
		{"Temporal's UI, password is not told", []string{"RINGBACK_TEMPORAL_UI_URL=https://u:hunter2@ui"}, nil, `RINGBACK_TEMPORAL_UI_URL: expected an http or https URL, like "https://temporal.example.com"`},
		{"data", nil, map[string]string{"data": ""}, "--data: expected a folder"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(Source{Environ: test.env, Flags: test.flags})
			require.EqualError(t, err, test.want)
			var mistake *Error
			require.ErrorAs(t, err, &mistake)
			require.Empty(t, mistake.File)
			require.Zero(t, mistake.Line)
		})
	}
}

// TestVariablesOfOthers: what the compose file, the tests and a shell set beside ours is none of our business.
func TestVariablesOfOthers(t *testing.T) {
	t.Parallel()
	_, err := Load(Source{Environ: []string{
		"RINGBACK_TEST_POSTGRES=x", "RINGBACK_REQUIRE=postgres", "RINGBACK_CONFIG_FILE=x", "RINGBACK_PORT=1", "RINGBACK_POSTGRES_PASSWORD=x", "PATH", "",
	}})
	require.NoError(t, err)
}

func TestFlags(t *testing.T) {
	t.Parallel()
	var from Source
	set := pflag.NewFlagSet("ringback", pflag.ContinueOnError)
	from.AddFlags(set, "server.listen", "server.dev_tokens", "embedded.ui_port")
	require.NoError(t, set.Parse([]string{"--config", configFile(t, ""), "--listen=127.0.0.1:1", "--dev-tokens", "--ui-port", "0"}))
	c, err := Load(from)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:1", c.Settings.Server.Listen)
	require.True(t, c.Settings.Server.DevTokens)
	require.Zero(t, c.Settings.Embedded.UIPort)
	require.Equal(t, []string{"p"}, c.PolicyNames)

	usage := set.FlagUsages()
	require.Contains(t, usage, "--listen HOST:PORT")
	require.Contains(t, usage, `(default "127.0.0.1:8080")`)
	require.Contains(t, usage, "[RINGBACK_LISTEN]")
	require.NotContains(t, usage, "--data ", "only the flags that were asked for")
	require.Panics(t, func() { from.AddFlags(pflag.NewFlagSet("", pflag.ContinueOnError), "server.lisen") })

	set.SetOutput(io.Discard)
	require.Error(t, set.Parse([]string{"--data", "x"}))
}

func TestSettingsHaveThreeNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{"config": true, configEnv: true}
	for _, s := range AllSettings() {
		for _, name := range []string{s.Path, s.Env, s.Flag} {
			require.False(t, seen[name], name)
			seen[name] = true
		}
		require.NotEmpty(t, s.Help)
		require.Regexp(t, "^RINGBACK_[A-Z_]+$", s.Env)
		of, key := s.Path[:strings.LastIndex(s.Path, ".")], s.Path[strings.LastIndex(s.Path, ".")+1:]
		require.Contains(t, blocks[block(of[strings.LastIndex(of, ".")+1:])], key, "the file has it too")
	}
	for _, b := range []block{blockServer, blockDatabase, blockEmbedded, blockTelemetry, blockTLS} {
		for _, key := range blocks[b] {
			require.True(t, slices.ContainsFunc(AllSettings(), func(s Setting) bool { return strings.HasSuffix(s.Path, string(b)+"."+key) }), "%s.%s", b, key)
		}
	}
	require.Equal(t, contract.DefaultNamespace, defaults().Temporal.Namespace)
	require.Equal(t, contract.DefaultTaskQueue, defaults().Temporal.TaskQueue)
}

// TestNoSecretIsPrinted: however the settings or the configuration are printed.
func TestNoSecretIsPrinted(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"postgres://u:hunter2@db:5432/ringback?sslmode=disable",
		"postgres://db/ringback?user=u&password=hunter2",
		"postgres://db/ringback?sslpassword=hunter2",
	} {
		c, err := Load(Source{Environ: []string{"RINGBACK_DATABASE_URL=" + url}})
		require.NoError(t, err)
		require.Equal(t, url, string(c.Settings.Database.URL), "what opens the database is whole")
		var out bytes.Buffer
		for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			slog.New(h).Info("x", "settings", c.Settings, "database", c.Settings.Database, "url", c.Settings.Database.URL, "config", c)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			fmt.Fprintf(&out, verb+"\n", c.Settings)
			fmt.Fprintf(&out, verb+"\n", c.Settings.Database)
			fmt.Fprintf(&out, verb+"\n", *c)
		}
		written, err := json.Marshal(c)
		require.NoError(t, err)
		out.Write(written)
		require.NotContains(t, out.String(), "hunter2")
		require.Contains(t, c.Settings.String(), "/ringback", "but which database it is can be seen")
	}
	require.Equal(t, hidden, DSN("postgres://u:hunter2%zz@db").String())
	require.Equal(t, hidden, DSN("password=hunter2").String())
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:1": true, "127.8.8.8:1": true, "[::1]:1": true, "localhost:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "example.com:1": false, "10.0.0.1:1": false, "": false,
	} {
		require.Equal(t, want, Server{Listen: address}.Loopback(), address)
	}
	require.Equal(t, ":1", Server{Listen: ":1"}.WorkerListen())
	require.Equal(t, ":2", Server{Listen: ":1", MetricsListen: ":2"}.WorkerListen())
}

// TestFlagNamesOfTheContract: CONTRACT §2 fixes them and their defaults.
func TestFlagNamesOfTheContract(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]string{"data": ".ringback", "listen": "127.0.0.1:8080", "temporal-port": "7233", "ui-port": "8233"} {
		i := slices.IndexFunc(settings, func(s setting) bool { return s.Flag == flag })
		require.GreaterOrEqual(t, i, 0, flag)
		require.Equal(t, want, settings[i].Default)
		require.Regexp(t, "`[A-Z:]+`", settings[i].Help)
	}
}
