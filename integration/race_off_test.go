//go:build !race

package integration

// raceDetector says that the tests run under the race detector.
const raceDetector = false
