//go:build !unix || portable

package sock

const nativeBuild = false
