//go:build race

package framework_test

// raceFactor widens the bounds of timed promises under the race detector, which slows everything.
const raceFactor = 20
