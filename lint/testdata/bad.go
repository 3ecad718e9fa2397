package testdata

import (
	"maps"
	"slices"
	"sort"
)

type numbered map[string]int

func orders(m map[string]int, n numbered) []string {
	for range m { // want
	}
	for k := range n { // want
		_ = k
	}
	var names []string
	for k := range m { // want
		names = append(names, k)
	}
	for k := range maps.Keys(m) { // want
		names = append(names, k)
	}
	for k, v := range maps.All(m) { // want
		_, _ = k, v
	}
	_ = slices.Collect(maps.Values(m)) // want
	var inOrder []string
	for k := range m {
		inOrder = append(inOrder, k)
	}
	sort.Strings(inOrder)
	var some []string
	for k, v := range m {
		if v > 0 {
			some = append(some, k)
		}
	}
	slices.Sort(some)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		inOrder = append(inOrder, k)
	}
	for _, k := range slices.SortedFunc(maps.Keys(n), func(a, b string) int { return len(a) - len(b) }) {
		inOrder = append(inOrder, k)
	}
	total := 0
	//workflowcheck:ignore a sum has no order
	for _, v := range m {
		total += v
	}
	return names
}

func generic[M ~map[string]int](m M) {
	for range m { // want
	}
}

func concurrent(c chan int) { // want
	go orders(nil, nil) // want
	c <- 1              // want
	<-c                 // want
	select {            // want
	case <-c:
	default:
	}
}
