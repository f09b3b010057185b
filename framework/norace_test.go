//go:build !race

package framework_test

const raceFactor = 1
