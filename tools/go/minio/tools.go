//go:build tools

// Package tools pins the MinIO server and its client: `go build github.com/minio/minio` and
// `go build github.com/minio/mc` in this module build exactly what go.sum names.
package tools

import (
	_ "github.com/minio/mc"
	_ "github.com/minio/minio"
)
