//go:build tools

// Package tools pins etcd: `go build go.etcd.io/etcd/server/v3` in this module builds exactly what
// go.sum names.
package tools

import _ "go.etcd.io/etcd/server/v3"
