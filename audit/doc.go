// Package audit holds the auditor's tools (R24, R25, R26): it reads the
// histories of callbacks, exports and archives them, replays them against the
// code that runs now, and says whether what lists and boards show is what
// follows from them.
//
// A history is believed in what came from outside (the commands of people, the
// firing of timers, what was drawn, what a calendar computed) and doubted in
// everything else. What follows from the former is computed twice, by the
// workflow's own code in the SDK's replayer and by folding the rules over the
// history without it; both must give, byte for byte, what the history says was
// answered and what it says was shown.
package audit
