// Command pulumi-resource-docker is the docker plugin, bridged from the upstream
// Terraform provider. It is built only where the official plugin cannot be downloaded.
//
// The module's path lies under the upstream's on purpose: Go lets only packages below
// it import its internal provider package.
package main

import (
	"unicode"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	bridgetokens "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/terraform-providers/terraform-provider-docker/internal/provider"
)

// version is the plugin's version, set by the build to the one the Python SDK pins.
var version = "0.0.0"

// makeToken gives a resource or function its token, `docker:index/<lowerCamel>:<Camel>`.
func makeToken(module, name string) (string, error) {
	lower := string(unicode.ToLower(rune(name[0]))) + name[1:]
	return "docker:" + module + "/" + lower + ":" + name, nil
}

func named(name string) *tfbridge.ResourceInfo {
	token, _ := makeToken("index", name)
	return &tfbridge.ResourceInfo{Tok: tokens.Type(token)}
}

func info() tfbridge.ProviderInfo {
	many := false
	container := named("Container")
	container.DeleteBeforeReplace = true
	container.Fields = map[string]*tfbridge.SchemaInfo{
		"command":           {Name: "command"},
		"networks_advanced": {Name: "networksAdvanced"},
	}
	image := named("RemoteImage")
	image.Fields = map[string]*tfbridge.SchemaInfo{"name": {Name: "name"}}

	result := tfbridge.ProviderInfo{
		P:            shimv2.NewProvider(provider.New(version)()),
		Name:         "docker",
		Version:      version,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
		Config: map[string]*tfbridge.SchemaInfo{
			"registry_auth": {Name: "registryAuth", MaxItemsOne: &many},
		},
		Resources: map[string]*tfbridge.ResourceInfo{
			"docker_container": container,
			"docker_image":     image,
			"docker_config":    named("ServiceConfig"),
		},
	}
	result.MustComputeTokens(bridgetokens.SingleModule("docker_", "index", makeToken))
	result.SetAutonaming(255, "-")
	return result
}

func main() {
	tfbridge.Main("docker", version, info(), []byte("{}"))
}
