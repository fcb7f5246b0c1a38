//go:build tools

// Package tools pins Traefik: `go build github.com/traefik/traefik/v3/cmd/traefik` in this module
// builds exactly what go.sum names.
package tools

import _ "github.com/traefik/traefik/v3/cmd/traefik"
