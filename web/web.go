// Package web holds what the hub serves to browsers: the client, the danmaku
// overlay, and their types. The files need no build step.
package web

import "embed"

// Files are the files of this directory that browsers may get.
//
//go:embed *.js *.ts
var Files embed.FS
