package zohodesk

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/wire"
)

// Deliver implements connectors.Connector. A task follows the newest state, so
// that what is overtaken costs nothing; the end is written when its turn comes.
func (z *Zoho) Deliver(ctx context.Context, d connectors.Delivery) error {
	k, wanted := z.kindOf(d.Intake)
	if !wanted {
		return nil // configured differently since it was promised
	}
	defer z.locks.Lock(d.Callback.ID)()
	r, err := z.find(ctx, &d, k)
	if err != nil {
		return err
	}
	switch e := d.Event.Fact.(type) {
	case *callback.Completed:
		return z.completed(ctx, &d, r, e)
	case *callback.Cancelled:
		return z.ended(ctx, &d, r, nil, "Cancelled in Ringback.")
	case *callback.Tagged:
		return z.tag(ctx, r, "associateTag", e.Tag)
	case *callback.Untagged:
		return z.tag(ctx, r, "dissociateTag", e.Tag)
	}
	if !d.Latest.Status.Closed() {
		w, err := z.wanted(ctx, r.Kind, d.Latest)
		if err != nil {
			return err
		}
		if err := z.write(ctx, r, w, nil, false); err != nil {
			return err
		}
	}
	if e, ok := d.Event.Fact.(*callback.Escalated); ok && r.Kind == tickets {
		return z.comment(ctx, r, d.OperationID, d.Again, fmt.Sprintf("Escalated to the tier %s, queue %s; the customer is to be reached by %s.", e.Tier, e.Queue, e.NewDueAt))
	}
	return nil
}

// completed ends a task or ticket with its resolution reason (R17, R18).
func (z *Zoho) completed(ctx context.Context, d *connectors.Delivery, r *record, e *callback.Completed) error {
	title := e.Reason
	if d.Policy != nil {
		if reason, known := d.Policy.Reason(e.Reason); known && reason.Title != "" {
			title = reason.Title
		}
	}
	if r.Kind == tickets {
		if err := z.call(ctx, http.MethodPatch, "/tickets/"+r.ID+"/resolution", map[string]any{"content": title}, nil); err != nil {
			return goneAs(r.Kind, err)
		}
		return z.ended(ctx, d, r, nil, "")
	}
	if field := z.config.ResolutionField; field != "" {
		return z.ended(ctx, d, r, map[string]any{"cf": map[string]any{field: z.valueOf(e.Reason)}}, "")
	}
	return z.ended(ctx, d, r, nil, "Completed in Ringback: "+title+".")
}

// ended writes the end, and what there is to say about it.
func (z *Zoho) ended(ctx context.Context, d *connectors.Delivery, r *record, more map[string]any, say string) error {
	w, err := z.wanted(ctx, r.Kind, d.Callback)
	if err != nil {
		return err
	}
	if say != "" {
		if err := z.comment(ctx, r, d.OperationID, d.Again, say); err != nil {
			return err
		}
	}
	return z.write(ctx, r, w, more, true)
}

// tag puts a tag on a ticket or takes it off; tasks have none. Both may be done
// twice.
func (z *Zoho) tag(ctx context.Context, r *record, how, tag string) error {
	if r.Kind != tickets {
		return nil
	}
	return goneAs(r.Kind, z.call(ctx, http.MethodPost, "/tickets/"+r.ID+"/"+how, map[string]any{"tags": []string{tag}}, nil))
}

// comment says something as the desk, once: what may have arrived is looked for
// by its operation.
func (z *Zoho) comment(ctx context.Context, r *record, operation string, again bool, text string) error {
	path := "/" + string(r.Kind) + "/" + r.ID + "/comments"
	if again {
		for page := range 50 {
			var found struct {
				Data []struct {
					Content string `json:"content"`
				} `json:"data"`
			}
			query := fmt.Sprintf("?limit=%d&sortBy=-commentedTime", pageSize)
			if page > 0 {
				query += fmt.Sprintf("&from=%d", page*pageSize)
			}
			if err := z.call(ctx, http.MethodGet, path+query, nil, &found); err != nil {
				return goneAs(r.Kind, err)
			}
			for _, c := range found.Data {
				if strings.Contains(c.Content, operation) {
					return nil
				}
			}
			if len(found.Data) < pageSize {
				break
			}
		}
	}
	body := map[string]any{"content": text + "\n\nRingback " + operation, "contentType": "plainText"}
	if r.Kind == tickets {
		body["isPublic"] = false
	}
	return goneAs(r.Kind, z.call(ctx, http.MethodPost, path, body, nil))
}

func goneAs(k kind, err error) error {
	if wire.Is(err, connectors.Gone) {
		return gone(k)
	}
	return err
}

// valueOf is a resolution reason as its field there has it.
func (z *Zoho) valueOf(code string) string {
	for value, ours := range z.config.ResolutionReasons {
		if ours == code {
			return value
		}
	}
	return code
}
