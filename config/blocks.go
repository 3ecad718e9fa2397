package config

// block names a mapping of the file whose keys are fixed.
type block string

// The blocks.
const (
	blockFile       block = "file"
	blockStaff      block = "staff"
	blockCalendar   block = "calendar"
	blockPolicy     block = "policy"
	blockTag        block = "tag"
	blockStep       block = "step"
	blockAssign     block = "assign"
	blockOverdue    block = "overdue"
	blockHold       block = "hold"
	blockOutage     block = "outage"
	blockAttempts   block = "attempts"
	blockCompletion block = "completion"
	blockField      block = "field"
	blockReason     block = "reason"
	blockConnectors block = "connectors"
	blockSignIn     block = "sign_in"
	blockOIDC       block = "oidc"
	blockClaims     block = "claims"
	blockClaim      block = "claim"
	blockSession    block = "session"
	blockServer     block = "server"
	blockDatabase   block = "database"
	blockTemporal   block = "temporal"
	blockTLS        block = "tls"
	blockEmbedded   block = "embedded"
	blockTelemetry  block = "telemetry"
)

// blocks holds their keys (CONTRACT §3, §6). Any other key is a mistake;
// docs/policies.md explains each one, which a test holds it to.
var blocks = map[block][]string{
	blockFile: {
		"organization", "tiers", "staff", "calendars", "policies", "connectors", "sign_in",
		"server", "database", "temporal", "embedded", "telemetry",
	},
	blockDraft:    {"calendars", "policies"},
	blockStaff:    {"id", "name", "tier", "queues", "capacity", "reports_to", "shift", "identities", "roles"},
	blockCalendar: {"time_zone", "hours", "holidays", "half_days"},
	blockPolicy: {
		"title", "calendar", "tag", "ladder", "overdue", "close_within", "hold", "outage", "attempts", "completion", "fields",
		"resolution_reasons",
	},
	blockTag:        {"required", "done", "unserved"},
	blockStep:       {"tier", "queue", "queue_by_lob", "tat", "warn_at", "assign", "start_within"},
	blockAssign:     {"direct"},
	blockOverdue:    {"remind_every", "max"},
	blockHold:       {"max"},
	blockOutage:     {"hold"},
	blockAttempts:   {"max", "spacing"},
	blockCompletion: {"requires"},
	blockField:      {"name", "title", "required", "pattern"},
	blockReason:     {"code", "title", "needs_contact", "after_attempts"},
	blockConnectors: {"freshdesk", "zohodesk", "oneview", "servicebench", "mailbox", "smtp", "webhooks"},
	blockSignIn:     {"oidc", "claims", "session", "api_keys"},
	blockOIDC: {
		"issuer", "client_id", "client_secret_env", "audience", "scopes", "title", "clock_skew", "userinfo",
	},
	blockClaims:    {"id", "name", "tier", "queues", "roles"},
	blockClaim:     {"claim", "values", "default"},
	blockSession:   {"idle", "absolute"},
	blockServer:    {"listen", "metrics_listen", "public_url", "dev_tokens", "requests_per_second", "attempts_per_minute", "trusted_proxies"},
	blockDatabase:  {"url"},
	blockTemporal:  {"address", "namespace", "task_queue", "ui_url", "tls"},
	blockTLS:       {"enabled", "cert", "key", "ca", "server_name"},
	blockEmbedded:  {"data", "temporal_port", "ui_port"},
	blockTelemetry: {"log_level", "otlp_endpoint"},
}
