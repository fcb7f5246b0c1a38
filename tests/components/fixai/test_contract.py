"""The services read what the components write: settings, topics, roles, secrets."""

from __future__ import annotations

import pytest

from components.fixai import cassandra
from components.fixai.application import settings_text
from inventory.fixai import BUCKETS
from tests.components.fixai.whole import containers, site, templates, whole

settings = pytest.importorskip("services.fixai.settings")
schema = pytest.importorskip("services.fixai.schema")
program = pytest.importorskip("services.fixai.__main__")


@pytest.mark.parametrize("simulated", [True, False])
def test_every_setting_is_one_that_the_services_know(simulated: bool) -> None:  # noqa: FBT001 - pytest's
    of = site(llm={"simulated": simulated}, limits={"pictures": 2}).fixai
    assert of is not None
    told = settings.Settings.model_validate_json(settings_text(of))
    assert told.llm.base_url == of.llm.url
    assert told.kafka.partitions == of.kafka.partitions
    assert told.backend.pictures == 2
    assert told.cassandra.datacenter == cassandra.DATACENTER
    assert told.listen.port == 8000


def test_the_topics_and_buckets_are_those_that_the_migration_makes() -> None:
    of = site().fixai
    assert of is not None
    told = settings.Settings.model_validate_json(settings_text(of))
    assert {topic.name for topic in schema.topics(told.kafka)} == set(of.topics)
    assert set(schema.buckets(told.objects)) == set(BUCKETS)


def test_every_pod_of_fixais_image_runs_a_role_that_it_has() -> None:
    roles = {
        argument
        for template in templates(whole()).values()
        for container in containers(template)
        if "/fixai:" in container["image"]
        for argument in container["args"]
    }
    assert roles == program.ROLES.keys()


def test_a_role_that_is_told_to_end_has_the_time_to() -> None:
    of = site().fixai
    assert of is not None
    told = settings.Settings.model_validate_json(settings_text(of))
    for name in ("description", "clustering", "incidents"):
        grace = templates(whole())[name]["spec"]["terminationGracePeriodSeconds"]
        assert grace > told.consumers.drain_seconds
