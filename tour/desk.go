package tour

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"ringback/callback"
)

// desk is the running desk, as an HTTP client sees it.
type desk struct{ base string }

// problem is a refusal (RFC 9457).
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Rule   string `json:"rule"`
	Detail string `json:"detail"`
}

func (p *problem) Error() string {
	return fmt.Sprintf("%d %s %s: %s", p.Status, p.Code, p.Rule, p.Detail)
}

func (d desk) request(ctx context.Context, who, method, path string, in body) (*http.Response, error) {
	var sent io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, d.base+path, sent)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer dev:"+who)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return http.DefaultClient.Do(req)
}

// do makes a call and decodes a 2xx answer into out, if given; any other answer
// is a *problem.
func (d desk) do(ctx context.Context, who, method, path string, in body, out any) error {
	res, err := d.request(ctx, who, method, path, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		p := &problem{Status: res.StatusCode}
		if err := json.NewDecoder(res.Body).Decode(p); err != nil {
			return fmt.Errorf("%s %s: status %d without a problem: %w", method, path, res.StatusCode, err)
		}
		return fmt.Errorf("%s %s by %s: %w", method, path, who, p)
	}
	if out == nil {
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// refused makes a call that must be refused with the code.
func (d desk) refused(ctx context.Context, who, method, path string, in body, code string) error {
	err := d.do(ctx, who, method, path, in, nil)
	var p *problem
	switch {
	case errors.As(err, &p) && p.Code == code:
		return nil
	case err == nil:
		return fmt.Errorf("%s %s by %s was accepted, expected the refusal %s", method, path, who, code)
	}
	return fmt.Errorf("expected the refusal %s: %w", code, err)
}

func (d desk) get(ctx context.Context, id string) (item, error) {
	var c item
	err := d.do(ctx, sup1, http.MethodGet, "/v1/callbacks/"+id, nil, &c)
	return c, err
}

func (d desk) list(ctx context.Context, query string) ([]item, error) {
	var page struct {
		Items []item `json:"items"`
	}
	err := d.do(ctx, sup1, http.MethodGet, "/v1/callbacks"+query, nil, &page)
	return page.Items, err
}

func (d desk) timeline(ctx context.Context, id string) ([]callback.Event, error) {
	var page struct {
		Items []callback.Event `json:"items"`
	}
	err := d.do(ctx, sup1, http.MethodGet, "/v1/callbacks/"+id+"/timeline", nil, &page)
	return page.Items, err
}

// stream reads Server-Sent Events until ctx ends, and shows each callback.
func (d desk) stream(ctx context.Context, who string, show func(item)) error {
	res, err := d.request(ctx, who, http.MethodGet, "/v1/stream", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var c item
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			return fmt.Errorf("stream: %w", err)
		}
		if c.ID != "" {
			show(c)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return lines.Err()
}
