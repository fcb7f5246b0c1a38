"""CloudFront and the load balancer: TLS of today, a firewall, no second way in."""

from __future__ import annotations

from typing import Any

from hearth.audit.look import GLOBAL, Look

VIEWER_TLS = ("TLSv1.2_2021", "TLSv1.2_2025", "TLSv1.3_2025")
_TAGS_AT_ONCE = 20


def judge_distributions(look: Look) -> None:
    """CloudFront distributions with the environment's tag."""
    client = look.client("cloudfront", GLOBAL)
    pages = client.get_paginator("list_distributions").paginate()
    distributions = [
        one
        for page in pages
        for one in page["DistributionList"].get("Items", [])
        if look.ours(client.list_tags_for_resource(Resource=one["ARN"])["Tags"].get("Items"))
    ]
    look.found("distribution", [distribution["Id"] for distribution in distributions])
    for distribution in distributions:
        _viewers(look, distribution)
        look.expect(
            distribution["Id"],
            "firewall",
            distribution.get("WebACLId"),
            "no firewall looks at its requests",
            "associate the environment's web ACL",
        )


def _viewers(look: Look, distribution: dict[str, Any]) -> None:
    version = distribution["ViewerCertificate"].get("MinimumProtocolVersion", "TLSv1")
    look.expect(
        distribution["Id"],
        "TLS",
        version in VIEWER_TLS,
        f"speaks {version} with viewers",
        f"set its security policy to {VIEWER_TLS[0]}",
    )
    behaviors = [
        distribution["DefaultCacheBehavior"],
        *distribution.get("CacheBehaviors", {}).get("Items", []),
    ]
    look.expect(
        distribution["Id"],
        "TLS",
        all(
            one["ViewerProtocolPolicy"] in {"redirect-to-https", "https-only"} for one in behaviors
        ),
        "answers without TLS",
        "redirect to HTTPS in every behaviour",
    )


def judge_balancers(look: Look) -> None:
    """Load balancers with the environment's tag."""
    found = look.all("elbv2", "describe_load_balancers", "LoadBalancers")
    arns = [one["LoadBalancerArn"] for one in found]
    ours = {
        entry["ResourceArn"]
        for first in range(0, len(arns), _TAGS_AT_ONCE)
        for entry in look.client("elbv2").describe_tags(
            ResourceArns=arns[first : first + _TAGS_AT_ONCE]
        )["TagDescriptions"]
        if look.ours(entry["Tags"])
    }
    balancers = [one for one in found if one["LoadBalancerArn"] in ours]
    look.found("load balancer", [one["LoadBalancerName"] for one in balancers])
    for balancer in balancers:
        name, arn = balancer["LoadBalancerName"], balancer["LoadBalancerArn"]
        look.expect(
            name,
            "public access",
            balancer["Scheme"] == "internal",
            "is open to the internet, past CloudFront and its firewall",
            "make it anew as internal: it cannot be changed",
        )
        with look.as_far_as_allowed(name, "attributes"):
            _attributes(look, name, arn)
        with look.as_far_as_allowed(name, "TLS"):
            _listeners(look, name, arn)


def _attributes(look: Look, name: str, arn: str) -> None:
    attributes = {
        entry["Key"]: entry["Value"]
        for entry in look.client("elbv2").describe_load_balancer_attributes(LoadBalancerArn=arn)[
            "Attributes"
        ]
    }
    look.expect(
        name,
        "deletion protection",
        attributes.get("deletion_protection.enabled") == "true" or not look.environment.protected,
        "AWS would delete it when asked once",
        "turn on deletion protection",
    )
    look.expect(
        name,
        "invalid headers",
        attributes.get("routing.http.drop_invalid_header_fields.enabled") == "true",
        "passes invalid headers on",
        "drop invalid header fields",
    )
    look.expect(
        name,
        "access logs",
        attributes.get("access_logs.s3.enabled") == "true",
        "keeps no access logs",
        "turn on access logs",
    )


def _listeners(look: Look, name: str, arn: str) -> None:
    promised = look.environment.edge.tls_policy
    for listener in look.all("elbv2", "describe_listeners", "Listeners", LoadBalancerArn=arn):
        redirects = any(
            action.get("RedirectConfig", {}).get("Protocol") == "HTTPS"
            for action in listener["DefaultActions"]
        )
        tls = listener["Protocol"] == "HTTPS"
        look.expect(
            name,
            "TLS",
            tls or redirects,
            f"answers without TLS on port {listener['Port']}",
            "redirect to HTTPS, or remove the listener",
        )
        if tls:
            look.expect(
                name,
                "TLS",
                listener.get("SslPolicy") == promised,
                f"its TLS policy is {listener.get('SslPolicy')}, {promised} is promised",
                "set the listener's security policy",
            )
