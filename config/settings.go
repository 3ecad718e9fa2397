package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Settings are those of a process, as opposed to those of the desk. Printing
// them, or logging them with slog, shows no password.
type Settings struct {
	Server    Server
	Database  Database
	Temporal  Temporal
	Embedded  Embedded
	Telemetry Telemetry
}

// Server is what listens.
type Server struct {
	// Listen is the API's HOST:PORT.
	Listen string
	// MetricsListen is the worker's HOST:PORT for health and metrics; empty: Listen.
	// The API serves them where it listens.
	MetricsListen string
	// PublicURL is where browsers find the desk, https://HOST; empty: where Listen says.
	PublicURL string
	// DevTokens accepts "dev:STAFF_ID" as a token: only ever on a loopback address.
	DevTokens bool
	// RequestsPerSecond of one principal, and twice that at once; 0: no limit.
	RequestsPerSecond int
	// AttemptsPerMinute that fail, to sign in or with a token, from one address; 0: no limit.
	AttemptsPerMinute int
	// TrustedProxies pass on whom they ask for; nobody else is believed in that.
	TrustedProxies []netip.Prefix
}

// WorkerListen is where a worker serves health and metrics.
func (s Server) WorkerListen() string {
	if s.MetricsListen != "" {
		return s.MetricsListen
	}
	return s.Listen
}

// Loopback reports whether Listen can be reached from this machine only.
func (s Server) Loopback() bool {
	host, _, err := net.SplitHostPort(s.Listen)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Database is the read model's.
type Database struct {
	// URL of PostgreSQL; empty: the embedded database, which only ringback-dev has.
	URL DSN
}

// DSN names a database, with its password: string(d) is what opens it. However
// else it is printed, the password is left out.
type DSN string

// String implements fmt.Stringer.
func (d DSN) String() string {
	if d == "" {
		return ""
	}
	u, err := url.Parse(string(d))
	if err != nil || u.Scheme == "" || u.Opaque != "" {
		return hidden
	}
	q := u.Query()
	for name := range q {
		if strings.Contains(strings.ToLower(name), "pass") {
			q.Set(name, hidden)
		}
	}
	u.RawQuery = q.Encode()
	return u.Redacted()
}

const hidden = "xxxxx"

// GoString implements fmt.GoStringer.
func (d DSN) GoString() string { return strconv.Quote(d.String()) }

// MarshalText implements encoding.TextMarshaler.
func (d DSN) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// LogValue implements slog.LogValuer.
func (d DSN) LogValue() slog.Value { return slog.StringValue(d.String()) }

// Temporal is the engine's cluster; ringback-dev embeds its own.
type Temporal struct {
	Address   string
	Namespace string
	TaskQueue string
	// UIURL is where browsers find the cluster's Web UI, https://HOST; empty: nothing links to it.
	UIURL string
	TLS   TLS
}

// TLS names the PEM files with which the cluster is reached. It is on when
// Enabled is set or any file is named.
type TLS struct {
	Enabled    bool
	Cert, Key  string // this client's certificate: both or neither
	CA         string // empty: the machine's authorities
	ServerName string // empty: the host of the address
}

// Embedded is what ringback-dev has in its own process.
type Embedded struct {
	// Data is the folder of everything durable.
	Data string
	// TemporalPort is the engine's on 127.0.0.1; 0: any free one.
	TemporalPort int
	// UIPort is its Web UI's; 0: none; -1: any free one.
	UIPort int
}

// Telemetry is what the process tells of itself.
type Telemetry struct {
	LogLevel slog.Level
	// OTLPEndpoint takes traces, as URL; empty: there are none.
	OTLPEndpoint string
}

// LogValue implements slog.LogValuer: all settings, without passwords.
func (s Settings) LogValue() slog.Value {
	attrs := make([]slog.Attr, len(settings))
	for i, c := range settings {
		attrs[i] = slog.String(c.Path, c.shown(&s))
	}
	return slog.GroupValue(attrs...)
}

// String implements fmt.Stringer: all settings, without passwords.
func (s Settings) String() string {
	parts := make([]string, len(settings))
	for i, c := range settings {
		parts[i] = c.Path + "=" + c.shown(&s)
	}
	return strings.Join(parts, " ")
}

// Setting is one setting of a process and its three names.
type Setting struct {
	// Path in the file, "server.listen".
	Path string
	// Env is the variable that overrides the file; an empty one does not.
	Env string
	// Flag overrides both; without its dashes.
	Flag string
	Help string
	// Default is what it is where nothing sets it.
	Default string
}

// AllSettings lists every setting of a process.
func AllSettings() []Setting {
	all := make([]Setting, len(settings))
	for i, c := range settings {
		all[i] = c.Setting
	}
	return all
}

type settingKind int

const (
	kindText settingKind = iota
	kindBool
	kindNumber
)

func (k settingKind) word() string {
	return [...]string{"string", "bool", "int"}[k]
}

// setting is a Setting with how to read and show it.
type setting struct {
	Setting
	kind settingKind
	// set takes the text of a value; where it does not like it, it says what was expected.
	set   func(s *Settings, text string) (expected string)
	shown func(s *Settings) string
}

// settings in the order in which they are shown. Defaults are applied through set.
var settings = []setting{
	{
		Setting{"server.listen", "RINGBACK_LISTEN", "listen", "`HOST:PORT` of the API", "127.0.0.1:8080"},
		kindText, listen(func(s *Settings) *string { return &s.Server.Listen }, false),
		func(s *Settings) string { return s.Server.Listen },
	},
	{
		Setting{"server.metrics_listen", "RINGBACK_METRICS_LISTEN", "metrics-listen", "`HOST:PORT` of a worker's health and metrics; where --listen says, if empty", ""},
		kindText, listen(func(s *Settings) *string { return &s.Server.MetricsListen }, true),
		func(s *Settings) string { return s.Server.MetricsListen },
	},
	{
		Setting{"server.public_url", "RINGBACK_PUBLIC_URL", "public-url", "`URL` at which browsers find the desk, https://HOST; where --listen says, if empty", ""},
		kindText, setPublicURL,
		func(s *Settings) string { return s.Server.PublicURL },
	},
	{
		Setting{"server.dev_tokens", "RINGBACK_DEV_TOKENS", "dev-tokens", "accept dev:STAFF_ID as a token, on a loopback address only", "false"},
		kindBool, truth(func(s *Settings) *bool { return &s.Server.DevTokens }),
		func(s *Settings) string { return strconv.FormatBool(s.Server.DevTokens) },
	},
	{
		Setting{"server.requests_per_second", "RINGBACK_REQUESTS_PER_SECOND", "requests-per-second", "`NUMBER` of requests that one principal may make a second, and twice that at once; 0: no limit", "500"},
		kindNumber, count(func(s *Settings) *int { return &s.Server.RequestsPerSecond }),
		func(s *Settings) string { return strconv.Itoa(s.Server.RequestsPerSecond) },
	},
	{
		Setting{"server.attempts_per_minute", "RINGBACK_ATTEMPTS_PER_MINUTE", "attempts-per-minute", "`NUMBER` of times a minute that one address may fail to prove who it is; 0: no limit", "60"},
		kindNumber, count(func(s *Settings) *int { return &s.Server.AttemptsPerMinute }),
		func(s *Settings) string { return strconv.Itoa(s.Server.AttemptsPerMinute) },
	},
	{
		Setting{"server.trusted_proxies", "RINGBACK_TRUSTED_PROXIES", "trusted-proxies", "`ADDRESSES` and networks of proxies whose X-Forwarded-For is believed, with commas between them; nobody's, if empty", ""},
		kindText, setTrustedProxies,
		func(s *Settings) string { return shownProxies(s.Server.TrustedProxies) },
	},
	{
		Setting{"database.url", "RINGBACK_DATABASE_URL", "database-url", "`URL` of PostgreSQL, postgres://…; better kept in the variable, since it has a password", ""},
		kindText, setDatabaseURL,
		func(s *Settings) string { return s.Database.URL.String() },
	},
	{
		Setting{"temporal.address", "RINGBACK_TEMPORAL_ADDRESS", "temporal-address", "`HOST:PORT` of the Temporal cluster", "127.0.0.1:7233"},
		kindText, setTemporalAddress,
		func(s *Settings) string { return s.Temporal.Address },
	},
	{
		Setting{"temporal.namespace", "RINGBACK_TEMPORAL_NAMESPACE", "temporal-namespace", "Temporal `NAMESPACE` of this desk", "ringback"},
		kindText, word(func(s *Settings) *string { return &s.Temporal.Namespace }),
		func(s *Settings) string { return s.Temporal.Namespace },
	},
	{
		Setting{"temporal.task_queue", "RINGBACK_TEMPORAL_TASK_QUEUE", "temporal-task-queue", "Temporal task `QUEUE` that the workers poll", "ringback"},
		kindText, word(func(s *Settings) *string { return &s.Temporal.TaskQueue }),
		func(s *Settings) string { return s.Temporal.TaskQueue },
	},
	{
		Setting{"temporal.ui_url", "RINGBACK_TEMPORAL_UI_URL", "temporal-ui-url", "`URL` at which browsers find the cluster's Web UI, https://HOST; nothing links to it, if empty", ""},
		kindText, setTemporalUI,
		func(s *Settings) string { return s.Temporal.UIURL },
	},
	{
		Setting{"temporal.tls.enabled", "RINGBACK_TEMPORAL_TLS", "temporal-tls", "reach Temporal with TLS; naming any of its files does so too", "false"},
		kindBool, truth(func(s *Settings) *bool { return &s.Temporal.TLS.Enabled }),
		func(s *Settings) string { return strconv.FormatBool(s.Temporal.TLS.Enabled) },
	},
	{
		Setting{"temporal.tls.cert", "RINGBACK_TEMPORAL_TLS_CERT", "temporal-tls-cert", "PEM `FILE` of this client's certificate", ""},
		kindText, text(func(s *Settings) *string { return &s.Temporal.TLS.Cert }),
		func(s *Settings) string { return s.Temporal.TLS.Cert },
	},
	{
		Setting{"temporal.tls.key", "RINGBACK_TEMPORAL_TLS_KEY", "temporal-tls-key", "PEM `FILE` of its key", ""},
		kindText, text(func(s *Settings) *string { return &s.Temporal.TLS.Key }),
		func(s *Settings) string { return s.Temporal.TLS.Key },
	},
	{
		Setting{"temporal.tls.ca", "RINGBACK_TEMPORAL_TLS_CA", "temporal-tls-ca", "PEM `FILE` of the authorities that vouch for the cluster; the machine's, if empty", ""},
		kindText, text(func(s *Settings) *string { return &s.Temporal.TLS.CA }),
		func(s *Settings) string { return s.Temporal.TLS.CA },
	},
	{
		Setting{"temporal.tls.server_name", "RINGBACK_TEMPORAL_TLS_SERVER_NAME", "temporal-tls-server-name", "`NAME` that the cluster's certificate must carry; the host of the address, if empty", ""},
		kindText, text(func(s *Settings) *string { return &s.Temporal.TLS.ServerName }),
		func(s *Settings) string { return s.Temporal.TLS.ServerName },
	},
	{
		Setting{"embedded.data", "RINGBACK_DATA", "data", "`DIR` of everything durable (ringback-dev)", ".ringback"},
		kindText, func(s *Settings, v string) string {
			if v == "" {
				return "a folder"
			}
			s.Embedded.Data = v
			return ""
		},
		func(s *Settings) string { return s.Embedded.Data },
	},
	{
		Setting{"embedded.temporal_port", "RINGBACK_TEMPORAL_PORT", "temporal-port", "`PORT` of the embedded engine; 0: any free one (ringback-dev)", "7233"},
		kindNumber, port(func(s *Settings) *int { return &s.Embedded.TemporalPort }, 0, "a port from 1 to 65535, or 0 for any free one"),
		func(s *Settings) string { return strconv.Itoa(s.Embedded.TemporalPort) },
	},
	{
		Setting{"embedded.ui_port", "RINGBACK_UI_PORT", "ui-port", "`PORT` of its Web UI; 0: off; -1: any free one (ringback-dev)", "8233"},
		kindNumber, port(func(s *Settings) *int { return &s.Embedded.UIPort }, -1, "a port from 1 to 65535, 0 for none, or -1 for any free one"),
		func(s *Settings) string { return strconv.Itoa(s.Embedded.UIPort) },
	},
	{
		Setting{"telemetry.log_level", "RINGBACK_LOG_LEVEL", "log-level", "`LEVEL` from which to log: debug, info, warn or error", "info"},
		kindText, func(s *Settings, v string) string {
			if !slices.Contains([]string{"debug", "info", "warn", "error"}, v) || s.Telemetry.LogLevel.UnmarshalText([]byte(v)) != nil {
				return "debug, info, warn or error"
			}
			return ""
		},
		func(s *Settings) string { return strings.ToLower(s.Telemetry.LogLevel.String()) },
	},
	{
		Setting{"telemetry.otlp_endpoint", "RINGBACK_OTLP_ENDPOINT", "otlp-endpoint", "`URL` that takes OpenTelemetry traces over OTLP, http://HOST:PORT; no traces, if empty", ""},
		kindText, func(s *Settings, v string) string {
			if v != "" {
				if u, err := url.Parse(v); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
					return `an http or https URL, like "http://127.0.0.1:4317"`
				}
			}
			s.Telemetry.OTLPEndpoint = v
			return ""
		},
		func(s *Settings) string { return DSN(s.Telemetry.OTLPEndpoint).String() },
	},
}

func text(field func(*Settings) *string) func(*Settings, string) string {
	return func(s *Settings, v string) string {
		*field(s) = v
		return ""
	}
}

func word(field func(*Settings) *string) func(*Settings, string) string {
	return func(s *Settings, v string) string {
		if !identifier.MatchString(v) {
			return "a name: " + identifierWords
		}
		*field(s) = v
		return ""
	}
}

func truth(field func(*Settings) *bool) func(*Settings, string) string {
	return func(s *Settings, v string) string {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return "true or false"
		}
		*field(s) = b
		return ""
	}
}

func port(field func(*Settings) *int, least int, expected string) func(*Settings, string) string {
	return func(s *Settings, v string) string {
		n, err := strconv.Atoi(v)
		if err != nil || n < least || n > 65535 {
			return expected
		}
		*field(s) = n
		return ""
	}
}

func count(field func(*Settings) *int) func(*Settings, string) string {
	return func(s *Settings, v string) string {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > most {
			return "a whole number, 0 or more"
		}
		*field(s) = n
		return ""
	}
}

func listen(field func(*Settings) *string, mayBeEmpty bool) func(*Settings, string) string {
	return func(s *Settings, v string) string {
		if v != "" || !mayBeEmpty {
			if _, text, err := net.SplitHostPort(v); err != nil || !isPort(text, 0) {
				return `HOST:PORT, like "127.0.0.1:8080"`
			}
		}
		*field(s) = v
		return ""
	}
}

func isPort(text string, least int) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= least && n <= 65535
}

func setTemporalAddress(s *Settings, v string) string {
	host, text, err := net.SplitHostPort(strings.TrimPrefix(v, "dns:///"))
	if err != nil || host == "" || !isPort(text, 1) {
		return `HOST:PORT of the cluster, like "127.0.0.1:7233" or "dns:///temporal:7233"`
	}
	s.Temporal.Address = v
	return ""
}

// setTemporalUI takes a base, below which the UI may be; a password in it would be shown to everybody.
func setTemporalUI(s *Settings, v string) string {
	if v != "" {
		u, err := url.Parse(v)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return `an http or https URL, like "https://temporal.example.com"`
		}
	}
	s.Temporal.UIURL = strings.TrimSuffix(v, "/")
	return ""
}

func setDatabaseURL(s *Settings, v string) string {
	if v != "" {
		u, err := url.Parse(v)
		if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Opaque != "" {
			return `a PostgreSQL URL, like "postgres://USER:PASSWORD@HOST:5432/DATABASE"`
		}
	}
	s.Database.URL = DSN(v)
	return ""
}

func defaults() Settings {
	var s Settings
	for _, c := range settings {
		if expected := c.set(&s, c.Default); expected != "" {
			panic(fmt.Sprintf("config: default of %s: expected %s", c.Path, expected)) // a test would see it first
		}
	}
	return s
}

// checkEnvironment refuses a variable that looks like a slip of the pen for one
// of ours. Other RINGBACK_* variables may be there for other programs.
func checkEnvironment(environment map[string]string) error {
	known := []string{configEnv}
	for _, c := range settings {
		known = append(known, c.Env)
	}
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		if slices.Contains(known, name) {
			continue
		}
		if near := nearest(name, known); near != "" {
			return &Error{Path: name, Expected: fmt.Sprintf("a known variable; did you mean %s?", near)}
		}
	}
	return nil
}

// settings reads the settings of the file.
func (b *builder) settings(top fields) {
	b.set = map[string]*Error{}
	values := map[string]value{}
	collect := func(f fields) {
		for _, v := range f.all {
			values[v.path] = v
		}
	}
	for _, name := range []block{blockServer, blockDatabase, blockTemporal, blockEmbedded, blockTelemetry} {
		f := top.get(string(name)).fields(name)
		collect(f)
		if name == blockTemporal {
			collect(f.get("tls").fields(blockTLS))
		}
	}
	for _, c := range settings {
		v, ok := values[c.Path]
		if !ok || !v.given() {
			continue
		}
		s, ok := v.scalar()
		if v.node.Tag == "!!bool" && c.kind == kindBool {
			s, ok = strconv.FormatBool(v.boolean(false)), true
		}
		if !ok {
			v.fail("%s", cmp.Or(c.set(&Settings{}, "\x00"), "text")) // what it says to nonsense
			continue
		}
		if expected := c.set(&b.Settings, s); expected != "" {
			v.fail("%s", expected)
		}
		b.set[c.Path] = v.error("")
	}
}

// override applies the environment and the flags, and checks what only holds
// for the settings together.
func (b *builder) override(environment, flags map[string]string) error {
	for _, c := range settings {
		if v := environment[c.Env]; v != "" {
			b.set[c.Path] = &Error{Path: c.Env}
			if expected := c.set(&b.Settings, v); expected != "" {
				return b.unsuited(c.Path, expected)
			}
		}
		if v, ok := flags[c.Flag]; ok {
			b.set[c.Path] = &Error{Path: "--" + c.Flag}
			if expected := c.set(&b.Settings, v); expected != "" {
				return b.unsuited(c.Path, expected)
			}
		}
	}
	s := &b.Settings
	switch {
	case s.Temporal.TLS.Cert != "" && s.Temporal.TLS.Key == "":
		return b.unsuited("temporal.tls.cert", "temporal.tls.key beside it: a certificate is of no use without its key")
	case s.Temporal.TLS.Key != "" && s.Temporal.TLS.Cert == "":
		return b.unsuited("temporal.tls.key", "temporal.tls.cert beside it: a key is of no use without its certificate")
	case s.Server.DevTokens && !s.Server.Loopback():
		return b.unsuited("server.dev_tokens", `false, or a loopback address to listen on, like "127.0.0.1:8080": such tokens prove nothing`)
	case s.Server.DevTokens && !s.Server.PublicLoopback():
		return b.unsuited("server.dev_tokens", "false, or no public URL: such tokens prove nothing")
	case b.SignIn.OIDC != nil && s.Server.PublicURL == "" && !s.Server.Loopback():
		return b.unsuited("server.public_url", `the URL at which browsers find the desk, like "https://desk.example.com": the provider sends them back there`)
	}
	return nil
}

// unsuited is a mistake at the place that set a setting.
func (b *builder) unsuited(path, expected string) error {
	e := Error{Path: path}
	if at, ok := b.set[path]; ok {
		e = *at
	}
	e.Expected = expected
	return &e
}
