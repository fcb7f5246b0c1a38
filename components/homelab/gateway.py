"""The gateway: nginx with TLS on 80 and 443, and the engine behind it, HAProxy or Kong."""

from __future__ import annotations

import pulumi

from components.homelab.routing import haproxy_config, kong_config, nginx_config
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
    """Spreads the routes over their upstreams; counts its limits in its own memory."""

    def extras(self, args: ServiceArgs) -> Extras:
        """The site's routes in its words."""
        return Extras(files={"haproxy.cfg": haproxy_config(args.site)})


class Kong(Service):
    """Spreads the routes over their upstreams; counts its limits in the gateway's Redis."""

    def extras(self, args: ServiceArgs) -> Extras:
        """The site's routes in its words, and the password of Redis."""
        content = args.password("redis", "default").apply(
            lambda password: kong_config(args.site, password)
        )
        return Extras(files={"kong.yaml": content})
