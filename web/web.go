// Package web holds what the hub serves to browsers: the client, the danmaku
// overlay, the doctor, and their types. The files need no build step.
package web

import "embed"

// Files are the files of this directory that browsers may get.
//
//go:embed *.js *.ts *.html *.css
var Files embed.FS
