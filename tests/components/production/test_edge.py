"""The edge keeps what it promises, in both environments."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.production.edge import Edge, EdgeArgs
from components.production.standby import BODIES, elsewhere, openapi
from inventory.cloud.loading import load_environment
from inventory.cloud.model import Environment
from tests.components.production.given import (
    BOTH,
    SUBNETS,
    VPC,
    key,
    named,
    only,
    policy,
    recorded,
    rules_of,
)
from tests.components.recorder import Recorded, Recording, record
from tools.aws_echo import ACCOUNT, REGION

DISTRIBUTION = "cloudfront/distribution:Distribution"
DOMAINS = {"production": "llm.example.com", "dev": "llm.dev.example.com"}


def declare(environment: Environment, region: str = REGION) -> Edge:
    return Edge(
        "edge",
        EdgeArgs(
            settings=environment.edge,
            region=region,
            account=ACCOUNT,
            vpc_id=VPC,
            private_subnet_ids=SUBNETS,
            cluster_security_group_id="sg-cluster",
            access_bucket="access-bucket",
            log_bucket_arn="arn:aws:s3:::logs-bucket",
            log_key_arn=key("logs"),
            hosted_zone_id="ZONE",
            log_days=30,
            protected=environment.protected,
        ),
    )


@pytest.fixture(scope="module")
def recordings() -> dict[str, Recording]:
    return recorded(declare)


@pytest.fixture(params=BOTH)
def recording(request: pytest.FixtureRequest, recordings: dict[str, Recording]) -> Recording:
    return recordings[request.param]


@pytest.fixture
def distribution(recording: Recording) -> dict[str, Any]:
    return only(recording, DISTRIBUTION)


def records(recording: Recording, domain: str) -> list[Recorded]:
    made = recording.of_type("route53/record:Record").values()
    return [record for record in made if record.inputs["name"] == domain]


# The load balancer


def test_the_load_balancer_is_inside_and_speaks_nothing_but_tls_of_today(
    recording: Recording,
) -> None:
    balancer = only(recording, "lb/loadBalancer:LoadBalancer")
    assert balancer["internal"] is True
    assert balancer["subnets"] == SUBNETS
    assert balancer["dropInvalidHeaderFields"] is True
    listener = only(recording, "lb/listener:Listener")
    assert (listener["port"], listener["protocol"]) == (443, "HTTPS")
    assert listener["sslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"


def test_the_load_balancer_records_who_asked_it(recording: Recording) -> None:
    balancer = only(recording, "lb/loadBalancer:LoadBalancer")
    wanted = {"bucket": "access-bucket", "prefix": "balancer", "enabled": True}
    assert (balancer["accessLogs"], balancer["connectionLogs"]) == (wanted, wanted)


def test_whoever_asks_it_by_another_name_finds_nothing(recordings: dict[str, Recording]) -> None:
    for name, recording in recordings.items():
        (default,) = only(recording, "lb/listener:Listener")["defaultActions"]
        assert (default["type"], default["fixedResponse"]["statusCode"]) == (
            "fixed-response",
            "404",
        )
        rule = only(recording, "lb/listenerRule:ListenerRule")
        assert rule["conditions"] == [{"hostHeader": {"values": [f"origin.{DOMAINS[name]}"]}}]
        assert rule["actions"][0]["targetGroupArn"].startswith("arn:aws:elasticloadbalancing")


def test_pods_are_targets_by_address_while_they_are_healthy(recording: Recording) -> None:
    targets = only(recording, "lb/targetGroup:TargetGroup")
    assert (targets["targetType"], targets["port"], targets["vpcId"]) == ("ip", 8000, VPC)
    assert (targets["healthCheck"]["path"], targets["healthCheck"]["matcher"]) == (
        "/health",
        "200",
    )


def test_only_cloudfront_s_own_interfaces_come_in_and_only_to_pods_it_goes_on(
    recording: Recording,
) -> None:
    group = named(recording, "ec2/securityGroup:SecurityGroup", "access")
    cloudfront, pods = rules_of(recording, "SecurityGroupIngressRule")[::-1]
    if cloudfront["securityGroupId"] == "sg-cluster":
        cloudfront, pods = pods, cloudfront
    (out,) = rules_of(recording, "SecurityGroupEgressRule")
    balancer = out["securityGroupId"]
    assert group.inputs["vpcId"] == VPC
    assert cloudfront["securityGroupId"] == balancer
    assert cloudfront["referencedSecurityGroupId"].startswith("sg-")
    assert cloudfront["referencedSecurityGroupId"] not in {balancer, "sg-cluster"}
    assert (cloudfront["fromPort"], cloudfront["toPort"]) == (443, 443)
    assert (out["referencedSecurityGroupId"], out["fromPort"], out["toPort"]) == (
        "sg-cluster",
        8000,
        8000,
    )
    assert (pods["securityGroupId"], pods["referencedSecurityGroupId"]) == ("sg-cluster", balancer)
    for rule in (cloudfront, out, pods):
        assert not {"cidrIpv4", "cidrIpv6", "prefixListId"} & set(rule)


def test_the_load_balancer_of_production_is_deleted_only_deliberately(
    recordings: dict[str, Recording],
) -> None:
    production, dev = (
        named(recordings[name], "lb/loadBalancer:LoadBalancer", "alb") for name in BOTH
    )
    assert (production.protect, dev.protect) == (True, False)
    assert production.inputs["enableDeletionProtection"] is True
    assert dev.inputs["enableDeletionProtection"] is False


def test_names_of_load_balancers_are_short_enough_for_an_environment_s(
    recording: Recording,
) -> None:
    made = [each.name for each in recording.resources if each.type.startswith("aws:lb/")]
    named_by_us = [name for name in made if name.endswith(("-alb", "-pods"))]
    assert len(named_by_us) == 2
    assert all(len(f"production-{name}-1234567") <= 32 for name in named_by_us)


# CloudFront


def test_cloudfront_reaches_the_service_through_the_network(
    recordings: dict[str, Recording],
) -> None:
    for name, recording in recordings.items():
        endpoint = only(recording, "cloudfront/vpcOrigin:VpcOrigin")["vpcOriginEndpointConfig"]
        assert endpoint["originProtocolPolicy"] == "https-only"
        assert endpoint["arn"].startswith("arn:aws:elasticloadbalancing")
        (origin,) = only(recording, DISTRIBUTION)["origins"]
        assert origin["vpcOriginConfig"]["vpcOriginId"]
        assert "customOriginConfig" not in origin
        assert origin["domainName"] == f"origin.{DOMAINS[name]}"
        certificate = named(recording, "acm/certificate:Certificate", "-origin")
        assert certificate.inputs["domainName"] == origin["domainName"]


def test_viewers_are_led_to_tls_of_today_under_the_service_s_name(
    recordings: dict[str, Recording],
) -> None:
    for name, recording in recordings.items():
        distribution = only(recording, DISTRIBUTION)
        assert distribution["aliases"] == [DOMAINS[name]]
        assert distribution["viewerCertificate"]["minimumProtocolVersion"] == "TLSv1.2_2021"
        assert distribution["viewerCertificate"]["sslSupportMethod"] == "sni-only"
        assert distribution["defaultCacheBehavior"]["viewerProtocolPolicy"] == "redirect-to-https"
        assert distribution["priceClass"] == "PriceClass_100"


def test_the_api_is_not_cached_and_takes_every_method(distribution: dict[str, Any]) -> None:
    behavior = distribution["defaultCacheBehavior"]
    assert behavior["cachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a939abad8"
    assert "POST" in behavior["allowedMethods"]
    assert behavior["compress"] is True
    assert distribution["restrictions"] == {"geoRestriction": {"restrictionType": "none"}}


def test_browsers_are_told_to_stay_with_tls(
    recording: Recording, distribution: dict[str, Any]
) -> None:
    headers = only(recording, "cloudfront/responseHeadersPolicy:ResponseHeadersPolicy")
    told = headers["securityHeadersConfig"]
    assert told["strictTransportSecurity"]["accessControlMaxAgeSec"] >= 31536000
    assert told["frameOptions"]["frameOption"] == "DENY"
    assert told["contentTypeOptions"]["override"] is True
    assert distribution["defaultCacheBehavior"]["responseHeadersPolicyId"]


def test_who_asked_cloudfront_is_recorded_in_the_logs_bucket(recording: Recording) -> None:
    source = only(recording, "cloudwatch/logDeliverySource:LogDeliverySource")
    assert source["logType"] == "ACCESS_LOGS"
    assert ":distribution/" in source["resourceArn"]
    to = only(recording, "cloudwatch/logDeliveryDestination:LogDeliveryDestination")
    assert to["deliveryDestinationConfiguration"] == {
        "destinationResourceArn": "arn:aws:s3:::logs-bucket"
    }
    assert only(recording, "cloudwatch/logDelivery:LogDelivery")["deliverySourceName"]


# The firewall


def test_the_firewall_limits_addresses_and_has_amazon_s_rules(recording: Recording) -> None:
    acl = only(recording, "wafv2/webAcl:WebAcl")
    assert (acl["scope"], acl["region"]) == ("CLOUDFRONT", "us-east-1")
    rules = {rule["name"]: rule for rule in acl["rules"]}
    assert set(rules) == {
        "limit-by-address",
        "AWSManagedRulesAmazonIpReputationList",
        "AWSManagedRulesKnownBadInputsRuleSet",
        "AWSManagedRulesCommonRuleSet",
    }
    limit = rules.pop("limit-by-address")
    assert "block" in limit["action"]
    assert limit["statement"]["rateBasedStatement"] == {
        "aggregateKeyType": "IP",
        "limit": 2000,
        "evaluationWindowSec": 300,
    }
    assert all(rule["overrideAction"] == {"none": {}} for rule in rules.values())
    assert only(recording, DISTRIBUTION)["webAclId"].startswith("arn:aws:wafv2")


def test_prompts_may_be_long_and_speak_of_html(recording: Recording) -> None:
    rules = {rule["name"]: rule for rule in only(recording, "wafv2/webAcl:WebAcl")["rules"]}
    group = rules["AWSManagedRulesCommonRuleSet"]["statement"]["managedRuleGroupStatement"]
    counted = {each["name"] for each in group["ruleActionOverrides"]}
    assert {"SizeRestrictions_BODY", "CrossSiteScripting_BODY"} <= counted
    assert all(name.endswith("_BODY") for name in counted)
    assert all(each["actionToUse"] == {"count": {}} for each in group["ruleActionOverrides"])


def test_what_the_firewall_saw_is_logged_without_credentials(recording: Recording) -> None:
    log = named(recording, "cloudwatch/logGroup:LogGroup", "firewall-log").inputs
    assert log["namePrefix"].startswith("aws-waf-logs-")
    assert (log["retentionInDays"], log["kmsKeyId"], log["region"]) == (
        30,
        key("logs"),
        "us-east-1",
    )
    logging = only(recording, "wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration")
    redacted = {each["singleHeader"]["name"] for each in logging["redactedFields"]}
    assert {"authorization", "cookie", "x-api-key"} <= redacted
    permission = only(recording, "cloudwatch/logResourcePolicy:LogResourcePolicy")
    statement = policy(permission["policyDocument"])["FirewallLog"]
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


# Names and certificates


def test_certificates_are_proven_by_dns_and_used_once_they_are(recording: Recording) -> None:
    certificates = recording.of_type("acm/certificate:Certificate").values()
    assert {each.inputs["validationMethod"] for each in certificates} == {"DNS"}
    validations = recording.of_type("acm/certificateValidation:CertificateValidation")
    assert len(validations) == len(certificates)
    used = named(recording, DISTRIBUTION, "distribution").depends_on
    assert validations["edge-domain"].urn in used
    listener = named(recording, "lb/listener:Listener", "https").depends_on
    assert validations["edge-origin"].urn in listener


def test_dev_s_name_leads_to_cloudfront_and_nowhere_else(
    recordings: dict[str, Recording],
) -> None:
    dev = recordings["dev"]
    made = records(dev, DOMAINS["dev"])
    assert {record.inputs["type"] for record in made} == {"A", "AAAA"}
    for each in made:
        (alias,) = each.inputs["aliases"]
        assert alias["name"].endswith(".cloudfront.net")
        assert "failoverRoutingPolicies" not in each.inputs
    assert dev.of_type("route53/healthCheck:HealthCheck") == {}
    assert dev.of_type("apigateway/restApi:RestApi") == {}


def test_production_s_name_leads_to_a_page_while_the_service_is_ill(
    recordings: dict[str, Recording],
) -> None:
    made = records(recordings["production"], DOMAINS["production"])
    roles = {
        (each.inputs["failoverRoutingPolicies"][0]["type"], each.inputs["type"]): each.inputs
        for each in made
    }
    assert set(roles) == {
        (role, kind) for role in ("PRIMARY", "SECONDARY") for kind in ("A", "AAAA")
    }
    for (role, _), inputs in roles.items():
        (alias,) = inputs["aliases"]
        # Route 53 cannot tell the health of a distribution.
        assert alias["evaluateTargetHealth"] is False
        assert alias["name"].endswith(".cloudfront.net") is (role == "PRIMARY")
        assert ("healthCheckId" in inputs) is (role == "PRIMARY")
    assert len({inputs["setIdentifier"] for inputs in roles.values()}) == 2


def test_the_health_check_asks_the_service_and_never_what_stands_in_for_it(
    recordings: dict[str, Recording],
) -> None:
    check = only(recordings["production"], "route53/healthCheck:HealthCheck")
    assert check["fqdn"].endswith(".cloudfront.net")
    assert (check["type"], check["port"], check["resourcePath"]) == ("HTTPS", 443, "/health")


def test_the_page_is_elsewhere_with_a_certificate_for_the_same_name(
    recordings: dict[str, Recording],
) -> None:
    production = recordings["production"]
    page = only(production, "apigateway/domainName:DomainName")
    assert page["domainName"] == DOMAINS["production"]
    assert page["securityPolicy"] == "TLS_1_2"
    assert page["endpointConfiguration"] == {"types": "REGIONAL", "ipAddressType": "dualstack"}
    certificate = named(production, "acm/certificate:Certificate", "-standby").inputs
    assert page["region"] == certificate["region"] == elsewhere(REGION) != REGION
    assert only(production, "apigateway/restApi:RestApi")["disableExecuteApiEndpoint"] is True
    limits = only(production, "apigateway/methodSettings:MethodSettings")["settings"]
    assert limits["throttlingRateLimit"] == 100


@pytest.mark.parametrize("path", ["/", "/{path+}"])
def test_the_page_answers_everything_with_503_and_when_to_try_again(path: str) -> None:
    api = openapi("page")
    integration = api["paths"][path]["x-amazon-apigateway-any-method"][
        "x-amazon-apigateway-integration"
    ]
    answer = integration["responses"]["default"]
    assert (integration["type"], answer["statusCode"]) == ("mock", "503")
    assert answer["responseParameters"] == {"method.response.header.Retry-After": "'60'"}
    assert answer["responseTemplates"] == BODIES
    unread = api["x-amazon-apigateway-gateway-responses"]
    assert {each["statusCode"] for each in unread.values()} == {"503"}


def test_the_page_has_nothing_that_the_gateway_s_templates_would_read() -> None:
    assert not any(sign in body for body in BODIES.values() for sign in "#$")
    json.loads(BODIES["application/json"])


def test_elsewhere_is_another_region() -> None:
    assert elsewhere("us-west-2") != "us-west-2"


def test_in_another_region_what_is_cloudfront_s_is_still_in_us_east_1() -> None:
    made = record(lambda: _declared("eu-central-1"))
    certificates = made.of_type("acm/certificate:Certificate")
    assert certificates["edge-domain"].inputs["region"] == "us-east-1"
    assert certificates["edge-origin"].inputs["region"] == "eu-central-1"
    log = named(made, "cloudwatch/logGroup:LogGroup", "firewall-log").inputs
    assert log["region"] == "us-east-1"
    assert "kmsKeyId" not in log  # a key of eu-central-1 would be refused


def _declared(region: str) -> None:
    declare(load_environment("production"), region)
