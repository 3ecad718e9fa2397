package servicebench

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"github.com/stretchr/testify/require"

	"ringback/callback"
	"ringback/connectors/servicebench/servicebenchfake"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestR14_AnExceptionIsReadAsTheContractSays(t *testing.T) {
	t.Parallel()
	x, err := Parse(servicebenchfake.Raise(1, noon).With("status", "in_progress").With("crm_number", 4711).JSON())
	require.NoError(t, err)
	require.Equal(t, &Exception{
		Schema: "1", Source: "servicebench", ExceptionID: "EX-1", ExceptionType: "Customer Callback", Status: InProgress,
		ServiceJobID: "JOB-1", CRMNumber: "4711", UserID: "BPO1-7", CreatedAt: callback.At(noon), UpdatedAt: callback.At(noon),
		Comment: "Wants to know when the part comes.",
		Customer: Customer{
			Name: "Asha Rao", Phones: []string{"12", "098765 43211"}, PreferredContactMethod: "phone", TimeZone: "Asia/Kolkata",
		},
	}, x)

	again, err := json.Marshal(x)
	require.NoError(t, err)
	y, err := Parse(again)
	require.NoError(t, err)
	require.Equal(t, x, y, "as it is kept it can be read again")

	for _, version := range []any{1, "1", "v1", "exception/1", "exception.v1", "exceptions:1", "1.0"} {
		x, err := Parse(servicebenchfake.Raise(1, noon).With("schema", version).JSON())
		require.NoError(t, err, version)
		require.Equal(t, "1", x.Schema)
	}
}

func TestR14_WhatCannotBeUnderstoodNamesTheMemberAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	good := servicebenchfake.Raise(1, noon)
	customer := func(member string, value any) servicebenchfake.Exception {
		c := map[string]any{member: value}
		return good.With("customer", c)
	}
	tests := []struct{ path, body string }{
		{"body", ``}, {"body", `[]`}, {"body", `null`}, {"body", `{`}, {"body", `{"schema":"1"} x`}, {"body", "{\"schema\":\"\xff\"}"}, {"body", `"secret"`},
		{"*", `{"secret":1}`},
		{"*", `{"Schema":"1"}`}, // exactly as it is written
		{"source", `{"source":"a","source":"b"}`},
		{"schema", string(good.With("schema", "2").JSON())},
		{"schema", string(good.With("schema", "2.1").JSON())},
		{"schema", string(good.With("schema", 1e30).JSON())},
		{"schema", string(good.With("schema", nil).JSON())},
		{"source", string(good.With("source", "").JSON())},
		{"exception_id", string(good.With("exception_id", "  ").JSON())},
		{"exception_id", string(good.With("exception_id", []string{"secret"}).JSON())},
		{"exception_id", string(good.With("exception_id", strings.Repeat("secret", 50)).JSON())},
		{"exception_type", string(good.With("exception_type", nil).JSON())},
		{"status", string(good.With("status", "secret").JSON())},
		{"status", string(good.With("status", nil).JSON())},
		{"updated_at", string(good.With("updated_at", nil).JSON())},
		{"updated_at", string(good.With("updated_at", "secret").JSON())},
		{"updated_at", string(good.With("updated_at", "2026-11-23 12:00").JSON())},
		{"created_at", string(good.With("created_at", 7).JSON())},
		{"comment", string(good.With("comment", map[string]any{"secret": 1}).JSON())},
		{"customer", string(good.With("customer", "secret").JSON())},
		{"customer", string(good.With("customer", []any{}).JSON())},
		{"customer.*", string(customer("secret", 1).JSON())},
		{"customer.name", string(customer("name", 7).JSON())},
		{"customer.phones", string(customer("phones", "secret").JSON())},
		{"customer.phones", string(customer("phones", []any{7}).JSON())},
		{"customer.phones", string(customer("phones", strings.Split(strings.Repeat("secret,", 20), ",")).JSON())},
		{"customer.time_zone", string(customer("time_zone", "Secret/Zone").JSON())},
		{"customer.time_zone", string(customer("time_zone", "Local").JSON())},
	}
	for _, test := range tests {
		_, err := Parse([]byte(test.body))
		var f *callback.Fault
		require.ErrorAs(t, err, &f, test.body)
		require.Equal(t, test.path, f.Errors[0].Path, test.body)
		require.NotContains(t, strings.ToLower(err.Error()), "secret", test.body)
	}
	// What a status update may leave out.
	for _, member := range []string{"service_job_id", "crm_number", "user_id", "created_at", "comment", "customer"} {
		_, err := Parse(good.With(member, nil).JSON())
		require.NoError(t, err, member)
	}
	_, err := Parse([]byte(`{"schema":"1","source":"s","exception_id":"e","exception_type":"t","status":"Open","updated_at":"2026-11-23T12:00:00Z","customer":null,"comment":null}`))
	require.NoError(t, err)
}

func FuzzParse(f *testing.F) {
	f.Add(servicebenchfake.Raise(1, noon).JSON())
	f.Add([]byte(`{"schema":1,"customer":{"phones":["a"]}}`))
	f.Add([]byte(`{"a":{"b":[{}]}}`))
	f.Add([]byte("{\"schema\":\"\\ud800\"}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		x, err := Parse(body)
		if err != nil {
			var fault *callback.Fault
			require.ErrorAs(t, err, &fault)
			return
		}
		raw, err := x.raw()
		require.NoError(t, err)
		again, err := Parse(raw)
		require.NoError(t, err, string(raw))
		require.Equal(t, x, again, "what is kept is what came")
		require.NotContains(t, x.Comment, "\x00")
		require.LessOrEqual(t, len(x.ExceptionID), maxID)
	})
}
