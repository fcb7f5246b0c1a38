"""The gateway: nginx with TLS on 80 and 443, and the engine behind it, HAProxy or Kong."""

from __future__ import annotations

import pulumi

from components.homelab.routing import (
    REDIS_PASSWORD,
    haproxy_config,
    key_map,
    kong_config,
    limits_lua,
    nginx_config,
)
from components.homelab.service import Extras, Service, ServiceArgs


class Nginx(Service):
    """The only service that the world talks to."""

    def extras(self, args: ServiceArgs) -> Extras:
        """Its configuration, certificate and key."""
        return Extras(
            files={
                "nginx.conf": nginx_config(args.site),
                "tls.crt": args.secrets.tls_certificate,
                "tls.key": pulumi.Output.secret(args.secrets.tls_private_key),
            }
        )


class HAProxy(Service):
    """Spreads the routes over their upstreams; counts its limits in the gateway's Redis."""

    def extras(self, args: ServiceArgs) -> Extras:
        """The site's routes in its words, the password of Redis, the digests of the keys."""
        site = args.site
        files: dict[str, pulumi.Input[str]] = {
            "haproxy.cfg": haproxy_config(site),
            "limits.lua": limits_lua(site),
            REDIS_PASSWORD: args.password("redis", "default"),
        }
        if site.api_clients:
            files["keys.map"] = args.secrets.api_keys(site).apply(key_map)
        return Extras(files=files)


class Kong(Service):
    """Spreads the routes over their upstreams; counts its limits in the gateway's Redis."""

    def extras(self, args: ServiceArgs) -> Extras:
        """The site's routes in its words, the password of Redis, the clients' keys."""
        content = pulumi.Output.all(
            args.password("redis", "default"), args.secrets.api_keys(args.site)
        ).apply(lambda found: kong_config(args.site, *found))
        return Extras(files={"kong.yaml": pulumi.Output.secret(content)})
