package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"
)

// The search attributes by which callbacks are found in Temporal (CONTRACT.md §5). They carry opaque values only.
const (
	AttributeStatus = "RingbackStatus"
	AttributeTier   = "RingbackTier"
	AttributeQueue  = "RingbackQueue"
	AttributePolicy = "RingbackPolicy"
	AttributeDueAt  = "RingbackDueAt"
)

const (
	// DefaultRetention is how long Temporal keeps a closed history where nothing else is said. The desk exports closed
	// histories long before that.
	DefaultRetention = 30 * 24 * time.Hour

	// settle is how long freshly added search attributes must have been known without a break before they count as
	// usable. Every Temporal host reads namespaces anew every 2 s (system.namespaceCacheRefreshInterval) and none says
	// when it has; a workflow task that reaches one too early fails and is retried.
	settle = 2500 * time.Millisecond
	// patience is how long a search that is not understood may still be due to a host that has not read the namespace
	// again, ours or another process's addition being that fresh.
	patience = 10 * time.Second
	// pollEvery stays below the 10 visibility calls a second that a default cluster allows a namespace.
	pollEvery = 200 * time.Millisecond
)

// SearchAttributes returns the search attributes of a callback with their types.
func SearchAttributes() map[string]enums.IndexedValueType {
	return map[string]enums.IndexedValueType{
		AttributeStatus: enums.INDEXED_VALUE_TYPE_KEYWORD,
		AttributeTier:   enums.INDEXED_VALUE_TYPE_KEYWORD,
		AttributeQueue:  enums.INDEXED_VALUE_TYPE_KEYWORD,
		AttributePolicy: enums.INDEXED_VALUE_TYPE_KEYWORD,
		AttributeDueAt:  enums.INDEXED_VALUE_TYPE_DATETIME,
	}
}

// Prepare makes the namespace and its search attributes ready for the desk and returns when they can be used. It may
// be called any number of times, by many processes at once; where nothing is missing it only reads, and needs no right
// to administer the cluster.
//
// The retention (at least an hour; zero: DefaultRetention) is given to a namespace that Prepare registers. One that
// exists keeps its own unless that is shorter: then histories could be gone before they are exported, and it is raised.
//
// Errors: an attribute that exists with another type; missing rights to add what is missing; the cluster away; ctx done.
func Prepare(ctx context.Context, c client.Client, namespace string, retention time.Duration) error {
	if namespace == "" {
		namespace = DefaultNamespace
	}
	if retention <= 0 {
		retention = DefaultRetention
	}
	if err := prepareNamespace(ctx, c, namespace, retention); err != nil {
		return fmt.Errorf("engine: preparing namespace %q: %w", namespace, err)
	}
	added, err := addSearchAttributes(ctx, c, namespace)
	if err != nil {
		return fmt.Errorf("engine: preparing the search attributes of namespace %q: %w", namespace, err)
	}
	if err := awaitSearchable(ctx, c, namespace, added); err != nil {
		return fmt.Errorf("engine: waiting for namespace %q to be searchable: %w", namespace, err)
	}
	return nil
}

func prepareNamespace(ctx context.Context, c client.Client, namespace string, retention time.Duration) error {
	service := c.WorkflowService()
	found, err := service.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	var absent *serviceerror.NamespaceNotFound
	switch {
	case errors.As(err, &absent):
		_, err = service.RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
			Namespace:                        namespace,
			Description:                      "Ringback: promises to call customers back",
			WorkflowExecutionRetentionPeriod: durationpb.New(retention),
		})
		var exists *serviceerror.NamespaceAlreadyExists
		if errors.As(err, &exists) {
			// Another process of the desk was faster.
			return nil
		}
		return err
	case err != nil:
		return err
	case found.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration() < retention:
		_, err = service.UpdateNamespace(ctx, &workflowservice.UpdateNamespaceRequest{
			Namespace: namespace,
			Config:    &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(retention)},
		})
		return err
	}
	return nil
}

// addSearchAttributes tells whether it had to add any.
func addSearchAttributes(ctx context.Context, c client.Client, namespace string) (added bool, err error) {
	operator := c.OperatorService()
	// A namespace registered a moment ago is not found for up to a second by the hosts that have looked before.
	var present map[string]enums.IndexedValueType
	err = retry(ctx, func() error {
		listed, err := operator.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
		present = listed.GetCustomAttributes()
		return err
	})
	var denied *serviceerror.PermissionDenied
	var unimplemented *serviceerror.Unimplemented
	if errors.As(err, &denied) || errors.As(err, &unimplemented) {
		// A hosted cluster may keep its operator service to itself; whether the attributes are there, a search tells.
		return false, nil
	}
	if err != nil {
		return false, err
	}
	missing := SearchAttributes()
	for name, want := range SearchAttributes() {
		have, ok := present[name]
		if ok && have != want {
			return false, fmt.Errorf("search attribute %s exists as %s, the desk needs %s", name, have, want)
		}
		if ok {
			delete(missing, name)
		}
	}
	if len(missing) == 0 {
		return false, nil
	}
	// Adding one that exists is no error, but two processes that add at the same moment can be given the same column:
	// the loser is told Unavailable and finds them present when it tries again.
	err = retry(ctx, func() error {
		_, err := operator.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
			Namespace: namespace, SearchAttributes: missing,
		})
		return err
	})
	return true, err
}

// awaitSearchable returns when a search that names every attribute is understood; after an addition, when it has been
// for as long as it takes until all hosts know (settle).
func awaitSearchable(ctx context.Context, c client.Client, namespace string, added bool) error {
	query, began := searchForNothing(), time.Now()
	var since time.Time
	for {
		_, err := c.WorkflowService().CountWorkflowExecutions(ctx, &workflowservice.CountWorkflowExecutionsRequest{
			Namespace: namespace, Query: query,
		})
		var invalid *serviceerror.InvalidArgument
		switch {
		case err == nil && since.IsZero():
			since = time.Now()
		case err == nil:
		case transient(err), errors.As(err, &invalid) && time.Since(began) < patience:
			since = time.Time{}
		default:
			return err
		}
		if err == nil && (!added || time.Since(since) >= settle) {
			return nil
		}
		if err := pause(ctx, err); err != nil {
			return err
		}
	}
}

// searchForNothing is a query that names every search attribute and matches no workflow.
func searchForNothing() string {
	var terms []string
	for name, kind := range SearchAttributes() {
		if kind == enums.INDEXED_VALUE_TYPE_DATETIME {
			terms = append(terms, name+" < '1970-01-01T00:00:00Z'")
		} else {
			terms = append(terms, name+" = 'nothing'")
		}
	}
	slices.Sort(terms)
	return strings.Join(terms, " AND ")
}

// retry calls f until it succeeds, fails for good, or ctx is done.
func retry(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil || !transient(err) {
			return err
		}
		if err := pause(ctx, err); err != nil {
			return err
		}
	}
}

// transient tells whether a call may succeed if it is only repeated.
func transient(err error) bool {
	var (
		unavailable *serviceerror.Unavailable
		exhausted   *serviceerror.ResourceExhausted
		absent      *serviceerror.NamespaceNotFound
	)
	return errors.As(err, &unavailable) || errors.As(err, &exhausted) || errors.As(err, &absent)
}

// pause waits between two tries; when ctx is done it returns that with the reason of the last failure.
func pause(ctx context.Context, last error) error {
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), last)
	}
}
