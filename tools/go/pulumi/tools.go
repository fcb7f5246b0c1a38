//go:build tools

// Package tools pins the Pulumi CLI: `go build github.com/pulumi/pulumi/pkg/v3/cmd/pulumi`
// in this module builds exactly what go.sum names.
package tools

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
