"""How the world reaches the service: over TLS of today, through a firewall, and no other way."""

from __future__ import annotations

from collections.abc import Iterator

from policies.graph import Fault, Graph, Policy, Resource

DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"
VIEWER_TLS = ("TLSv1.2_2021", "TLSv1.2_2025", "TLSv1.3_2025")
BALANCER_TLS = "ELBSecurityPolicy-TLS13-1-2-Res"
"""How the names of policies begin that offer TLS 1.2 with forward secrecy, and 1.3."""
_HTTPS = ("https-only", "redirect-to-https")


def distributions_speak_tls(distribution: Resource, _graph: Graph) -> Iterator[Fault]:
    """Viewers get TLS 1.2 or newer, under the service's own name."""
    version = distribution.get("viewerCertificate.minimumProtocolVersion", "TLSv1")
    if distribution.get("viewerCertificate.cloudfrontDefaultCertificate", default=False):
        yield Fault("has CloudFront's own certificate", "give viewer_certificate of ACM")
    elif version not in VIEWER_TLS:
        yield Fault(
            f"speaks {version} with viewers", f"set minimum_protocol_version to {VIEWER_TLS[0]}"
        )
    for at in ("defaultCacheBehavior", *distribution.each("orderedCacheBehaviors")):
        protocol = distribution.get(f"{at}.viewerProtocolPolicy", "allow-all")
        if protocol not in _HTTPS:
            yield Fault(
                f"{at} answers without TLS", "set viewer_protocol_policy='redirect-to-https'"
            )


def distributions_have_a_firewall(distribution: Resource, _graph: Graph) -> Iterator[Fault]:
    """A firewall looks at every request."""
    if not distribution.has("webAclId"):
        yield Fault("has no firewall", "give web_acl_id, the ARN of a wafv2.WebAcl in us-east-1")


def distributions_log(distribution: Resource, graph: Graph) -> Iterator[Fault]:
    """Who asked for what can be told afterwards."""
    deliveries = "aws:cloudwatch/logDeliverySource:LogDeliverySource"
    if not distribution.has("loggingConfig") and not graph.about(
        distribution, deliveries, "resourceArn"
    ):
        yield Fault("keeps no access logs", "give logging_config, or a log delivery")


def balancers_are_internal(balancer: Resource, _graph: Graph) -> Iterator[Fault]:
    """The world comes through CloudFront alone."""
    if not balancer.get("internal", default=False):
        yield Fault("is open to the internet", "set internal=True and use a CloudFront VPC origin")


def balancers_drop_bad_headers(balancer: Resource, _graph: Graph) -> Iterator[Fault]:
    """Requests whose headers two programs would read differently go no further."""
    if not balancer.get("dropInvalidHeaderFields", default=False):
        yield Fault("passes invalid headers on", "set drop_invalid_header_fields=True")


def balancers_log(balancer: Resource, _graph: Graph) -> Iterator[Fault]:
    """Who asked for what can be told afterwards."""
    if not balancer.get("accessLogs.enabled", default=False):
        yield Fault("keeps no access logs", "give access_logs")


def balancers_are_protected(balancer: Resource, graph: Graph) -> Iterator[Fault]:
    """A load balancer that must not be lost cannot be deleted by mistake."""
    if graph.environment is not None and not graph.environment.protected:
        return
    if not balancer.get("enableDeletionProtection", default=False):
        yield Fault("AWS would delete it when asked once", "set enable_deletion_protection=True")


def listeners_speak_tls(listener: Resource, graph: Graph) -> Iterator[Fault]:
    """Listeners speak TLS of today, or send whoever does not to one that does."""
    protocol = listener.get("protocol", "HTTP")
    if protocol == "HTTP":
        if listener.get("defaultActions.0.redirect.protocol") != "HTTPS":
            yield Fault("answers without TLS", "set protocol='HTTPS', or redirect to it")
        return
    found = listener.get("sslPolicy", "AWS's old default")
    promised = graph.environment.edge.tls_policy if graph.environment else BALANCER_TLS
    if not str(found).startswith(promised):
        yield Fault(f"its TLS policy is {found}", f"set ssl_policy to {promised}")


POLICIES = (
    Policy(distributions_speak_tls, (DISTRIBUTION,)),
    Policy(distributions_have_a_firewall, (DISTRIBUTION,)),
    Policy(distributions_log, (DISTRIBUTION,), whole=True),
    Policy(balancers_are_internal, (BALANCER,)),
    Policy(balancers_drop_bad_headers, (BALANCER,)),
    Policy(balancers_log, (BALANCER,)),
    Policy(balancers_are_protected, (BALANCER,)),
    Policy(listeners_speak_tls, (LISTENER,)),
)
