package api

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ringback/callback"
)

const (
	mediaJSON    = "application/json"
	mediaProblem = "application/problem+json"
)

// operation is one row of the contract's table: it is published as it is, and
// served by serve.
type operation struct {
	method, path string
	id           string
	summary      string
	doc          string
	tag          string
	// open needs no token; raw hands the request on as it came, and is repeatable
	// all the same where it honours Idempotency-Key.
	open, raw, repeatable bool
	// access is who may use it; what is open, anybody.
	access access
	// names says what {id} in the path names.
	names named
	query []*huma.Param
	// body is a zero value of what is sent; nil: nothing is.
	body any
	// bodyOptional: nothing at all may be sent instead.
	bodyOptional bool
	answers      []reply
	// refusals are the codes besides those that every operation of its kind may give.
	refusals []callback.Code
	// conditional honours If-Match.
	conditional bool
	serve       func(ctx context.Context, r *request) (*answer, error)

	bodySchema *huma.Schema
}

// named is what the id in a path names.
type named int

const (
	namesCallback named = iota
	namesPerson
	namesKey
	namesDelivery
	namesOutage
	namesMessage
)

// noun is how the description speaks of it.
func (n named) noun() string {
	return [...]string{"callback", "person", "key", "delivery", "outage", "message"}[n]
}

// isUUID tells the ids that the desk makes itself; connectors may name messages as they like.
func (n named) isUUID() bool { return n == namesCallback || n == namesDelivery || n == namesOutage }

// reply is one way in which an operation answers.
type reply struct {
	status int
	doc    string
	body   any    // a zero value; nil: none
	media  string // application/json unless set
}

// answer is what an operation gives.
type answer struct {
	status   int
	location string
	etag     string
	media    string // application/json unless set
	body     []byte
	// written: the operation has written it itself.
	written bool
}

func ok(v any) (*answer, error) {
	body, err := encode(v)
	return &answer{status: http.StatusOK, body: body}, err
}

// routes builds the router and the description of it.
func (a *API) routes(registry *prometheus.Registry) {
	a.gin = gin.New()
	a.gin.RedirectTrailingSlash = false
	a.gin.RedirectFixedPath = false
	a.gin.HandleMethodNotAllowed = true
	a.gin.ContextWithFallback = true
	a.gin.Use(a.observe)
	a.gin.NoRoute(func(c *gin.Context) {
		if pages := a.pagesAt(c.Request.URL.Path); pages != nil {
			c.Status(http.StatusOK) // Gin has decided on 404
			pages.ServeHTTP(c.Writer, c.Request)
			return
		}
		a.refuse(c, refuse(callback.CodeNotFound, "", "there is nothing at this address"))
	})
	a.gin.NoMethod(func(c *gin.Context) {
		a.refuse(c, refuse(callback.CodeMethodNotAllowed, "", "this address does not take "+safeMethod(c.Request.Method)+": see Allow"))
	})

	config := huma.DefaultConfig("Ringback", "1")
	config.Info.Description = "Promised callbacks, kept: who was promised what by when, who has it, and what became of it."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"session": {Type: "apiKey", In: "cookie", Name: "__Host-ringback", Description: "a browser that is signed in; commands only from the desk's own pages"},
		"token":   {Type: "http", Scheme: "bearer", Description: "an OIDC token or an API key; on a developer's own machine `dev:STAFF_ID`"},
	}
	config.Components.Schemas.RegisterTypeAlias(reflect.TypeFor[callback.Instant](), reflect.TypeFor[instantSchema]())
	a.huma = humagin.New(a.gin, config)
	schemas := config.Components.Schemas
	schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")

	for _, group := range [][]*operation{
		a.callbackOperations(), a.commandOperations(), a.noteOperations(), a.timelineOperations(), a.historyOperations(),
		a.availabilityOperations(), a.peopleOperations(), a.staffOperations(), a.keyOperations(), a.policyOperations(), a.statsOperations(), a.streamOperations(),
		a.countOperations(), a.deadlineOperations(), a.listViewOperations(), a.reportOperations(), a.draftOperations(),
		a.owedOperations(), a.eraseOperations(), a.connectorOperations(), a.inboundOperations(), a.outageOperations(),
		a.healthOperations(), a.docsOperations(),
	} {
		for _, op := range group {
			a.register(op)
		}
	}
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	a.register(&operation{
		method: http.MethodGet, path: "/metrics", id: "metrics", tag: "operation", open: true,
		summary: "What Prometheus scrapes",
		answers: []reply{{http.StatusOK, "metrics in Prometheus' text format", "", "text/plain"}},
		serve: func(_ context.Context, r *request) (*answer, error) {
			metrics.ServeHTTP(r.write, r.Request)
			return &answer{written: true}, nil
		},
	})
	a.answerOptions()
	a.onlyPost()
	for _, s := range schemas.Map() {
		for _, member := range s.Properties {
			member.PatternDescription = "" // the messages have it; it is no word of JSON Schema
		}
	}
}

// pagesAt is what answers beside the API at a path; nil: nothing does.
func (a *API) pagesAt(path string) http.Handler {
	switch {
	case path == "/v1" || strings.HasPrefix(path, "/v1/"), strings.Contains(path, "//"):
		return nil
	case path == "/sign-in" || strings.HasPrefix(path, "/sign-in/") || path == "/sign-out":
		return a.signIn
	}
	return a.pages
}

// register publishes an operation and serves it.
func (a *API) register(op *operation) {
	described := &huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Summary: op.summary, Description: op.doc, Tags: []string{op.tag},
		Parameters: slices.Clone(op.query), Responses: map[string]*huma.Response{},
	}
	schemas := a.huma.OpenAPI().Components.Schemas
	if strings.Contains(op.path, "{id}") {
		id := &huma.Schema{Type: huma.TypeString}
		if op.names.isUUID() {
			id.Format = "uuid"
		}
		described.Parameters = append(described.Parameters, &huma.Param{
			Name: "id", In: "path", Required: true, Description: "the " + op.names.noun() + "'s id", Schema: id,
		})
	}
	refusals := slices.Clone(op.refusals)
	if op.open {
		op.access = accessOpen
	}
	described.Extensions = map[string]any{"x-access": string(op.access)}
	if !op.open {
		described.Security = []map[string][]string{{"token": {}}, {"session": {}}}
		refusals = append(refusals, callback.CodeUnauthenticated, callback.CodeForbidden, callback.CodeRateLimited,
			callback.CodeUnavailable, callback.CodeInternal, callback.CodeInvalid)
	}
	if strings.Contains(op.path, "{id}") {
		refusals = append(refusals, callback.CodeNotFound)
	}
	if op.method == http.MethodPost && (!op.raw || op.repeatable) {
		described.Parameters = append(described.Parameters, header("Idempotency-Key",
			"Makes a repeat safe: the same key and body give the first answer again, for 30 days", 255))
		refusals = append(refusals, callback.CodeInvalid, callback.CodeIdempotencyKeyReused, callback.CodeOutcomeUnknown)
	}
	if op.conditional {
		described.Parameters = append(described.Parameters, header("If-Match", "Refuses unless the "+op.names.noun()+" has this version", 1000))
		refusals = append(refusals, callback.CodeStaleVersion)
	}
	if op.body != nil {
		t := reflect.TypeOf(op.body)
		described.RequestBody = &huma.RequestBody{
			Required: !op.bodyOptional,
			Content:  map[string]*huma.MediaType{mediaJSON: {Schema: schemas.Schema(t, true, t.Name())}},
		}
		op.bodySchema = schemas.Schema(t, false, t.Name())
		refusals = append(refusals, callback.CodeMalformed, callback.CodeTooLarge, callback.CodeUnsupportedMediaType, callback.CodeInvalid)
	}
	for _, r := range op.answers {
		described.Responses[strconv.Itoa(r.status)] = describe(schemas, r)
	}
	a.describeRefusals(described, refusals)
	a.huma.OpenAPI().AddOperation(described)
	a.huma.Adapter().Handle(described, func(c huma.Context) { a.serve(humagin.Unwrap(c), op) })
	if op.method == http.MethodGet {
		a.answerHead(op)
	}
}

func header(name, doc string, most int) *huma.Param {
	return &huma.Param{Name: name, In: "header", Description: doc, Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &most}}
}

func describe(schemas huma.Registry, r reply) *huma.Response {
	described := &huma.Response{Description: r.doc}
	if r.body == nil {
		return described
	}
	media := r.media
	if media == "" {
		media = mediaJSON
	}
	t := reflect.TypeOf(r.body)
	described.Content = map[string]*huma.MediaType{media: {Schema: schemas.Schema(t, true, t.Name())}}
	headers := map[string]*huma.Param{}
	if t == reflect.TypeFor[Callback]() || t == reflect.TypeFor[Person]() {
		headers["ETag"] = &huma.Param{Description: "its version", Schema: &huma.Schema{Type: huma.TypeString}}
	}
	if r.status == http.StatusCreated || r.status == http.StatusAccepted {
		headers["Location"] = &huma.Param{Description: "where it is", Schema: &huma.Schema{Type: huma.TypeString}}
	}
	if len(headers) > 0 {
		described.Headers = headers
	}
	return described
}

// describeRefusals publishes every code under its status.
func (a *API) describeRefusals(op *huma.Operation, codes []callback.Code) {
	byStatus := map[int][]string{}
	for _, code := range codes {
		status := kinds[code].status
		if text := "`" + string(code) + "`"; !slices.Contains(byStatus[status], text) {
			byStatus[status] = append(byStatus[status], text)
		}
	}
	schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	for status, texts := range byStatus {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status) + ": " + strings.Join(texts, ", "),
			Content:     map[string]*huma.MediaType{mediaProblem: {Schema: schema}},
		}
	}
}

// serve is the way of every request: who, what, and then the operation.
func (a *API) serve(c *gin.Context, op *operation) {
	t := trailOf(c)
	r := &request{Request: c.Request, trail: t, op: op, write: c.Writer}
	ctx := c.Request.Context()
	if op.id != streamID {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.limits.Request)
		defer cancel()
	}
	err := a.understand(c, r)
	var given *answer
	if err == nil {
		given, err = op.serve(ctx, r)
	}
	switch {
	case err != nil:
		t.err = err
		a.refuse(c, fault(err))
	case !given.written:
		a.give(c, given)
	}
}

// understand checks all that goes before the operation, in the contract's order.
func (a *API) understand(c *gin.Context, r *request) (err error) {
	if !r.op.open {
		if r.who, err = a.authenticate(c.Request); err != nil {
			return a.attempted(c.Request, err)
		}
		r.trail.principal = r.who.ID
		// A page asks several times on behalf of one who looks at it once: that counts
		// with the first thing that every page asks.
		if (!inside(c.Request.Context()) || r.op.id == meID) && !a.limiter.allow(r.who.ID, a.now()) {
			return refuse(callback.CodeRateLimited, "", "slow down a little")
		}
	}
	if r.op.body != nil {
		if r.body, r.canonical, err = readBody(c.Writer, c.Request, r.op.bodyOptional); err != nil {
			return err
		}
	}
	switch id := c.Param("id"); {
	case id == "":
	case r.op.names == namesCallback:
		if r.callbackID, err = parseID(id); err != nil {
			return err
		}
		r.trail.callbackID = r.callbackID
	case r.op.names.isUUID():
		if _, err := parseID(id); err != nil {
			return refuse(callback.CodeNotFound, "", "there is no "+r.op.names.noun()+" with this id")
		}
		r.pathID = id
	default:
		r.pathID = id
	}
	return nil
}

// attempted counts tokens that prove nobody: too many of them from one address
// are not worth an answer each.
func (a *API) attempted(r *http.Request, err error) error {
	var f *callback.Fault
	if errors.As(err, &f) && f.Code == callback.CodeUnauthenticated && r.Header.Get("Authorization") != "" && !a.throttle.Failed(r) {
		return refuse(callback.CodeRateLimited, "", "too many tokens of nobody came from where you are: slow down")
	}
	return err
}

func (a *API) give(c *gin.Context, given *answer) {
	h := c.Writer.Header()
	media := given.media
	if media == "" {
		media = mediaJSON
	}
	if given.location != "" {
		h.Set("Location", given.location)
	}
	if given.etag != "" {
		h.Set("ETag", given.etag)
	}
	if given.status == http.StatusNotModified {
		c.Status(given.status)
		c.Writer.WriteHeaderNow()
		return
	}
	c.Data(given.status, media, given.body)
}

// refuse answers with a problem, and notes it for the log and the metrics.
func (a *API) refuse(c *gin.Context, f *callback.Fault) {
	t := trailOf(c)
	t.fault = f
	if kinds[f.Code].status < http.StatusInternalServerError {
		t.err = nil // the code says it all
	}
	a.metrics.refusals.WithLabelValues(string(f.Code)).Inc()
	h := c.Writer.Header()
	if wait, set := retryAfter[f.Code]; set {
		h.Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
	}
	if f.Code == callback.CodeUnauthenticated {
		h.Set("WWW-Authenticate", `Bearer realm="ringback"`)
	}
	p := problem(f)
	body, err := encode(p)
	if err != nil {
		t.err = errors.Join(t.err, err)
	}
	c.Data(p.Status, mediaProblem, body)
}

// Handler is the whole surface.
func (a *API) Handler() http.Handler { return a.gin }

// answerHead answers HEAD wherever GET is (the server leaves the body out), and
// answerOptions says what may be done.
func (a *API) answerHead(op *operation) {
	a.gin.HEAD(ginPath(op.path), func(c *gin.Context) { a.serve(c, op) })
}

func (a *API) answerOptions() {
	methods := map[string][]string{}
	for _, route := range a.gin.Routes() {
		methods[route.Path] = append(methods[route.Path], route.Method)
	}
	for path, allowed := range methods {
		slices.Sort(allowed)
		allow := strings.Join(append(allowed, http.MethodOptions), ", ")
		a.gin.OPTIONS(path, func(c *gin.Context) {
			c.Header("Allow", allow)
			c.Status(http.StatusNoContent)
		})
	}
}

// onlyPost keeps GET of an address that takes messages from being taken for one
// of a kept message with that name.
func (a *API) onlyPost() {
	for _, in := range inboundPaths {
		path := inboundPath(in.path)
		if slices.ContainsFunc(a.gin.Routes(), func(r gin.RouteInfo) bool { return r.Path == path && r.Method == http.MethodGet }) {
			continue
		}
		refused := func(c *gin.Context) {
			c.Header("Allow", http.MethodOptions+", "+http.MethodPost)
			a.refuse(c, refuse(callback.CodeMethodNotAllowed, "", "this address does not take "+c.Request.Method+": see Allow"))
		}
		a.gin.GET(path, refused)
		a.gin.HEAD(path, refused)
	}
}

func ginPath(path string) string { return strings.ReplaceAll(path, "{id}", ":id") }

// safeMethod keeps what somebody sent as a method from being repeated as it is.
func safeMethod(method string) string {
	if slices.Contains([]string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodTrace, http.MethodConnect,
	}, method) {
		return method
	}
	return "that method"
}
