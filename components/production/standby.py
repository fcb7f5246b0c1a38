"""The page that answers while the service cannot."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

STATUS, RETRY_S = "503", 60
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Unavailable</title></head>
<body><h1>The service is unavailable</h1><p>We are working on it. Please try again soon.</p></body>
</html>
"""
PROBLEM = json.dumps({"detail": "The service is unavailable. Try again in a minute."})
BODIES = {"application/json": PROBLEM, "text/html": PAGE}
"""By what the client accepts; programs get the first, browsers the second."""
REQUESTS_PER_S, BURST = 100, 200
"""A limit of what it may cost while everybody retries."""


def elsewhere(region: str) -> str:
    """A region that does not fail with this one."""
    return "us-east-2" if region == "us-west-2" else "us-west-2"


@dataclass(frozen=True, slots=True)
class StandbyArgs:
    """What the page is made of.

    Attributes:
        domain: of the service: the page answers under the same name.
        region: where it is, which should not be where the service is.
        certificate_arn: for the domain, of that region, validated.
    """

    domain: str
    region: str
    certificate_arn: pulumi.Input[str]


class Standby(pulumi.ComponentResource):
    """A regional API without anything behind it, which answers every request with 503.

    CloudFront gives a name to one distribution only, so a second one cannot stand in for the first,
    and an S3 website speaks no TLS. A regional API has a certificate of its own for the same name,
    costs nothing while nobody asks it, and holds no data.
    """

    target: pulumi.Output[str]
    zone_id: pulumi.Output[str]

    def __init__(
        self, name: str, args: StandbyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:production:Standby", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        place = {"types": "REGIONAL", "ip_address_type": "dualstack"}
        body = json.dumps(openapi(name), sort_keys=True)
        api = aws.apigateway.RestApi(
            f"{name}-page",
            region=args.region,
            body=body,
            endpoint_configuration=place,
            # Under its own name only, with its own certificate.
            disable_execute_api_endpoint=True,
            opts=child,
        )
        deployment = aws.apigateway.Deployment(
            f"{name}-deployment",
            region=args.region,
            rest_api=api.id,
            triggers={"body": hashlib.sha256(body.encode()).hexdigest()},
            opts=child,
        )
        stage = aws.apigateway.Stage(
            f"{name}-stage",
            region=args.region,
            rest_api=api.id,
            deployment=deployment.id,
            stage_name="page",
            opts=child,
        )
        aws.apigateway.MethodSettings(
            f"{name}-limit",
            region=args.region,
            rest_api=api.id,
            stage_name=stage.stage_name,
            method_path="*/*",
            settings={
                "throttling_rate_limit": REQUESTS_PER_S,
                "throttling_burst_limit": BURST,
                "metrics_enabled": True,
            },
            opts=child,
        )
        domain = aws.apigateway.DomainName(
            f"{name}-domain",
            region=args.region,
            domain_name=args.domain,
            regional_certificate_arn=args.certificate_arn,
            security_policy="TLS_1_2",
            endpoint_configuration=place,
            opts=child,
        )
        aws.apigateway.BasePathMapping(
            f"{name}-mapping",
            region=args.region,
            domain_name=domain.domain_name,
            rest_api=api.id,
            stage_name=stage.stage_name,
            opts=child,
        )
        self.target, self.zone_id = domain.regional_domain_name, domain.regional_zone_id
        self.register_outputs({"target": self.target, "zone_id": self.zone_id})


def openapi(title: str) -> dict[str, Any]:
    """The API: one answer to every method of every path, and to what it cannot read at all."""
    headers = {"Retry-After": {"schema": {"type": "string"}}}
    method = {
        "responses": {STATUS: {"description": "Unavailable", "headers": headers}},
        "x-amazon-apigateway-integration": {
            "type": "mock",
            "passthroughBehavior": "never",
            "requestTemplates": {"application/json": json.dumps({"statusCode": int(STATUS)})},
            "responses": {
                "default": {
                    "statusCode": STATUS,
                    "responseParameters": {"method.response.header.Retry-After": f"'{RETRY_S}'"},
                    "responseTemplates": BODIES,
                }
            },
        },
    }
    unread = {
        "statusCode": STATUS,
        "responseParameters": {"gatewayresponse.header.Retry-After": f"'{RETRY_S}'"},
        "responseTemplates": BODIES,
    }
    anything: dict[str, Any] = {"x-amazon-apigateway-any-method": method}
    path = {"name": "path", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "openapi": "3.0.1",
        "info": {"title": title, "version": "1"},
        "paths": {"/": anything, "/{path+}": {**anything, "parameters": [path]}},
        "x-amazon-apigateway-gateway-responses": {"DEFAULT_4XX": unread, "DEFAULT_5XX": unread},
    }
