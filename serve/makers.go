package serve

import (
	"net/url"

	"ringback/callback"
	"ringback/config"
	"ringback/connectors"
	"ringback/connectors/freshdesk"
	"ringback/connectors/mailbox"
	"ringback/connectors/notice"
	"ringback/connectors/oneview"
	"ringback/connectors/servicebench"
	"ringback/connectors/smtp"
	"ringback/connectors/webhook"
	"ringback/connectors/zohodesk"
)

// How each block under connectors becomes connectors: the keys are those of
// docs/connectors/, the defaults the connector's own.

func init() {
	makers["freshdesk"] = one(makeFreshdesk)
	makers["zohodesk"] = one(makeZohodesk)
	makers["oneview"] = one(makeOneview)
	makers["servicebench"] = one(makeServicebench)
	makers["mailbox"] = one(makeMailbox)
	makers["smtp"] = one(makeNotices)
	makers["webhooks"] = makeWebhooks
}

// one is a maker of what there is one block of.
func one(read func(c *config.Config, b *config.Block) func(d deps) ([]connectors.Connector, error)) maker {
	return func(c *config.Config, blocks []*config.Block) func(d deps) ([]connectors.Connector, error) {
		return read(c, blocks[0])
	}
}

// alone is one connector, or why there is none.
func alone[C connectors.Connector](c C, err error) ([]connectors.Connector, error) {
	if err != nil {
		return nil, err
	}
	return []connectors.Connector{c}, nil
}

func duration(b *config.Block, key, like string) callback.Duration {
	return callback.Duration(b.Duration(key, like))
}

// policies reads a list of policies of this file.
func policies(c *config.Config, b *config.Block, key string) []string {
	names := b.Texts(key, "policies, like [supervisor-callback]")
	for _, name := range names {
		b.Known(key, name, "one of the policies", c.PolicyNames)
	}
	return names
}

const perMinute = "calls a minute, 1 or more"

func makeFreshdesk(_ *config.Config, b *config.Block) func(d deps) ([]connectors.Connector, error) {
	in := freshdesk.Config{
		URL: b.Text("url", "the address of the account, like https://acme.freshdesk.com"), APIKey: b.Secret("api_key_env"),
		WebhookToken: b.OptionalSecret("webhook_token_env"), Policy: b.Policy("policy", false),
		Groups:        b.NumberByName("groups", "queues with the numbers of their groups"),
		DefaultRegion: b.Optional("default_region"), LOBField: b.Optional("lob_field"),
		PollEvery: duration(b, "poll_every", "1m"), SweepEvery: duration(b, "sweep_every", "15m"), Backfill: duration(b, "backfill", "24h"),
		CallsPerMinute: b.Number("calls_per_minute", perMinute, 1), Timeout: duration(b, "timeout", "30s"),
	}
	return func(d deps) ([]connectors.Connector, error) { return alone(freshdesk.New(in, d("freshdesk"))) }
}

func makeZohodesk(c *config.Config, b *config.Block) func(d deps) ([]connectors.Connector, error) {
	in := zohodesk.Config{
		URL: b.Text("url", "the address of the data centre, like https://desk.zoho.com"), AccountsURL: b.Text("accounts_url", "like https://accounts.zoho.com"),
		OrgID: b.Text("org_id", "the number of the organization"), DepartmentID: b.Text("department_id", "the number of the department"),
		ClientID: b.Secret("client_id_env"), ClientSecret: b.Secret("client_secret_env"), RefreshToken: b.Secret("refresh_token_env"),
		Tasks: policies(c, b, "tasks"), Tickets: policies(c, b, "tickets"),
		FromTickets: b.Policy("from_tickets", false), TicketsDepartmentID: b.Optional("tickets_department_id"), DefaultRegion: b.Optional("default_region"),
		Statuses:        b.TextByName("statuses", "statuses of callbacks with those of tasks"),
		TicketStatuses:  b.TextByName("ticket_statuses", "statuses of callbacks with those of tickets"),
		ResolutionField: b.Optional("resolution_field"), DefaultReason: b.Optional("default_resolution_reason"),
		ResolutionReasons: b.TextByName("resolution_reasons", "values of the field with resolution reasons"),
		SummaryField:      b.Optional("summary_field"), CallbackField: b.Optional("callback_field"), WithholdCustomer: b.Bool("withhold_customer", false),
		WebhookURL: b.Optional("webhook_url"), WebhookID: b.Optional("webhook_id"), SourceID: b.Optional("source_id"),
		PollEvery: duration(b, "poll_every", "1m"), SweepEvery: duration(b, "sweep_every", "15m"),
		Concurrency: b.Number("concurrency", "calls at once, 1 or more", 1), CallsPerMinute: b.Number("calls_per_minute", perMinute, 1),
		Timeout: duration(b, "timeout", "30s"),
	}
	return func(d deps) ([]connectors.Connector, error) { return alone(zohodesk.New(in, d("zohodesk"))) }
}

func makeOneview(c *config.Config, b *config.Block) func(d deps) ([]connectors.Connector, error) {
	in := oneview.Config{
		URL: b.Text("url", "the address that takes notes"), Secret: b.Secret("secret_env"), Policies: policies(c, b, "policies"),
		CallsPerMinute: b.Number("calls_per_minute", perMinute, 1), Timeout: duration(b, "timeout", "30s"),
	}
	return func(d deps) ([]connectors.Connector, error) { return alone(oneview.New(in, d("oneview"))) }
}

func makeServicebench(_ *config.Config, b *config.Block) func(d deps) ([]connectors.Connector, error) {
	routes := b.List("routes", "routes, the first that fits wins")
	completed := b.Inner("completed")
	in := servicebench.Config{
		Secret: b.OptionalSecret("secret_env"), Sources: b.Texts("sources", "names of sources"), DropDir: b.Optional("drop_dir"),
		Poll: b.Duration("poll", "10s"), TimeZone: b.Optional("time_zone"), Regions: b.Texts("regions", "regions, like [US, IN]"),
		Completed: servicebench.Completed{ResolutionReason: completed.Optional("resolution_reason"), Reached: completed.Bool("reached", false)},
		URL:       b.Optional("url"), Comment: b.Bool("comment", false),
	}
	for _, r := range routes {
		in.Routes = append(in.Routes, servicebench.Route{
			ExceptionType: r.Text("exception_type", "an exception type; * stands for any text"), UserID: r.Optional("user_id"),
			Policy: r.Policy("policy", true), Queue: r.Queue("queue"), LOB: r.Optional("lob"),
		})
	}
	b.Join(append(routes, completed)...)
	return func(d deps) ([]connectors.Connector, error) { return alone(servicebench.New(in, d("servicebench"))) }
}

// sender is how the desk sends mail; nil without a block for it.
func sender(c *config.Config) (*smtp.Sender, error) {
	blocks := c.Connectors.Blocks("smtp")
	if len(blocks) == 0 {
		return nil, nil //nolint:nilnil // documented
	}
	s, err := smtp.New(readSender(blocks[0]))
	if err != nil {
		return nil, inBlock(blocks, err)
	}
	return s, nil
}

func readSender(b *config.Block) smtp.Config {
	return smtp.Config{
		URL: b.Text("url", "smtps://HOST:PORT or smtp://HOST:PORT"), From: b.Text("from", "the address of the desk"),
		User: b.OptionalSecret("user_env"), Password: b.OptionalSecret("password_env"),
	}
}

func makeMailbox(c *config.Config, b *config.Block) func(d deps) ([]connectors.Connector, error) {
	answer := b.Inner("acknowledge")
	in := mailbox.Config{
		IMAP: b.Optional("imap"), User: b.OptionalSecret("user_env"), Password: b.OptionalSecret("password_env"),
		Folder: b.Optional("folder"), MoveTo: b.Optional("move_to"), Poll: b.Duration("poll", "1m"), Policy: b.Policy("policy", true),
		Assign:    b.StaffByName("assign", "addresses, or default, with staff ids"),
		Addresses: b.Texts("addresses", "addresses of the inbox"), AuthservID: b.Optional("authserv_id"), Regions: b.Texts("regions", "regions, like [US, IN]"),
		OwnNumbers: b.Texts("own_numbers", "phone numbers of one's own"), MaxSize: int64(b.Number("max_size", "bytes, 1 or more", 1)),
		MaxPerSender: b.Number("max_per_sender", "mails, 1 or more", 1),
		Acknowledge: mailbox.Acknowledge{
			Off: answer.Bool("off", false), Subject: answer.Optional("subject"), Text: answer.Optional("text"), WithoutPhone: answer.Optional("without_phone"),
		},
	}
	b.Join(answer)
	return func(d deps) ([]connectors.Connector, error) {
		post, err := sender(c)
		if err != nil {
			return nil, err
		}
		if post != nil {
			in.Post = post
		}
		return alone(mailbox.New(in, d("mailbox")))
	}
}

// makeNotices makes two of one block: what staff is told waits for nothing that
// a customer's address may have wrong.
func makeNotices(c *config.Config, b *config.Block) func(d deps) ([]connectors.Connector, error) {
	_ = readSender(b)
	in := notice.Config{
		Every: b.Duration("every", "5m"), AnyTime: b.Bool("any_time", false), Link: b.Optional("link"), CustomerSubject: b.Optional("customer_subject"),
	}
	for _, t := range b.EventTypes("types") {
		in.Types = append(in.Types, string(t))
	}
	return func(d deps) ([]connectors.Connector, error) {
		post, err := sender(c)
		if err != nil {
			return nil, err
		}
		in.Post = post
		staff, err := notice.New(in, d("smtp"))
		if err != nil {
			return nil, err
		}
		customers, err := notice.NewCustomers(in, d("smtp:customers"))
		if err != nil {
			return nil, err
		}
		return []connectors.Connector{staff, customers}, nil
	}
}

func makeWebhooks(c *config.Config, blocks []*config.Block) func(d deps) ([]connectors.Connector, error) {
	all := make([]webhook.Config, len(blocks))
	for i, b := range blocks {
		all[i] = webhook.Config{
			Name: b.Optional("name"), URL: b.Text("url", "the address of the hook"), Secret: b.Secret("secret_env"),
			Policies: policies(c, b, "policies"), Include: b.Texts("include", "what is personal and goes along"), Source: b.Optional("source"),
		}
		for _, t := range b.EventTypes("types") {
			all[i].Types = append(all[i].Types, string(t))
		}
	}
	return func(d deps) ([]connectors.Connector, error) {
		hooks := make([]connectors.Connector, len(all))
		for i, in := range all {
			name := in.Name
			if at, err := url.Parse(in.URL); name == "" && err == nil {
				name = at.Hostname()
			}
			hook, err := webhook.New(in, d("webhook:"+name))
			if err != nil {
				return nil, inBlock(blocks[i:i+1], err)
			}
			hooks[i] = hook
		}
		return hooks, nil
	}
}
