//go:build !linux || portable

package sock

const hasPoller = false
