//go:build race

package harness

// raceDetector says that the tests run under the race detector.
const raceDetector = true
