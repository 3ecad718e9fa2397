// Package browser tests the web desk in a real browser, on the real API and
// rules with an engine in memory (e2e/harness/floor). What needs a real engine
// is in e2e.
//
// `npm ci` in this folder brings axe-core, with which every page is searched for
// barriers (WCAG 2.2 AA); RINGBACK_AXE may name another folder that has it.
package browser
