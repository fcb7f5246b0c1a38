"""The drift check: what differs, what is not known, what is served, and how it says so."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from hearth import secrets
from inventory.loading import load as load_site
from services.driftcheck.app import DriftCheck, application
from services.driftcheck.asking import Said
from services.driftcheck.certificates import Unserved, served
from services.driftcheck.comparing import STALE_SECONDS, differences, judged
from services.driftcheck.settings import Certificate, Settings, SettingsError, load
from tests.services.assistants import eventually
from tests.services.fakes import served as serving

SITE = Path(__file__).parents[1] / "sites" / "valid" / "minimal.yaml"
NGINX, REDIS, OLLAMA = "pi51.nginx", "pi51.redis", "nano.ollama"
NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def tls() -> dict[str, str]:
    """The gateway's certificate, its key, and who signed it."""
    return made()


def made() -> dict[str, str]:
    """A certificate for 127.0.0.1 among others, by an authority of its own."""
    return {s.key: s.value for s in secrets.missing_settings({}, load_site(str(SITE)))}


def document(authority: str, **changes: Any) -> dict[str, Any]:
    """What a drift check is told of two machines."""
    return {
        "name": "pi31.drift-check",
        "port": 8300,
        "prometheus": "http://127.0.0.1:9",
        "every_seconds": 0.02,
        "machines": {
            "pi51": {"tier": "gateway", "board": "raspberry-pi-5-8gb"},
            "nano": {"tier": "edge", "board": "jetson-nano-2gb"},
        },
        "services": {
            NGINX: {"image": "sha256:n", "settings": "dn"},
            REDIS: {"image": "sha256:r", "settings": "dr"},
            OLLAMA: {"image": "sha256:o", "settings": None},
        },
        "certificates": [],
        "authority": authority,
        **changes,
    }


def gateway(written: float = NOW) -> Said:
    """The gateway as it should be."""
    images = {NGINX: "sha256:n", REDIS: "sha256:r"}
    return Said(written, images, {NGINX: "dn", REDIS: "dr"})


def fallback(written: float = NOW) -> Said:
    """The other machine as it should be."""
    return Said(written, {OLLAMA: "sha256:o"}, {})


@pytest.fixture
def settings(tls: dict[str, str]) -> Settings:
    return Settings.model_validate(document(tls[secrets.AUTHORITY]))


def test_a_machine_that_is_as_it_should_be_does_not_differ(settings: Settings) -> None:
    assert differences(settings, "pi51", gateway()) == {}
    assert differences(settings, "nano", fallback()) == {}


def test_each_service_that_differs_counts_once(settings: Settings) -> None:
    said = gateway()
    said.settings[NGINX], said.images[NGINX] = "other", "sha256:other"
    del said.images[REDIS]
    assert differences(settings, "pi51", said) == {
        NGINX: "runs another image and has other settings",
        REDIS: "does not run",
    }


def test_settings_that_are_gone_or_should_not_be_there_differ(settings: Settings) -> None:
    said, other = gateway(), fallback()
    del said.settings[NGINX]
    other.settings[OLLAMA] = "d"
    assert differences(settings, "pi51", said) == {NGINX: "has other settings"}
    assert differences(settings, "nano", other) == {OLLAMA: "has other settings"}


def test_what_the_site_does_not_know_differs_but_for_the_check_itself(settings: Settings) -> None:
    said = fallback()
    said.images |= {"nano.miner": "sha256:m", settings.name: "sha256:d"}
    assert differences(settings, "nano", said) == {"nano.miner": "is none of the site's"}


@pytest.mark.parametrize(
    ("said", "since"),
    [
        (None, 0),
        (Said(), 0),
        (gateway(NOW - STALE_SECONDS - 1), 0),
        (gateway(NOW - 10), NOW - 5),
    ],
    ids=["unheard", "never written", "long ago", "before the settings changed"],
)
def test_what_is_not_known_is_no_difference(
    settings: Settings, said: Said | None, since: float
) -> None:
    assert judged(settings, "pi51", said, since=since, now=NOW) is None


def test_what_was_said_just_now_counts(settings: Settings) -> None:
    assert judged(settings, "pi51", gateway(NOW - 10), since=NOW - 20, now=NOW) == {}


@dataclass
class FakePrometheus:
    """Answers with what machines have said."""

    machines: dict[str, Said] = field(default_factory=dict)
    status: str = "success"
    asked: list[str] = field(default_factory=list)

    async def query(self, request: web.Request) -> web.Response:
        """An instant vector, or an error."""
        self.asked.append(request.query["query"])
        if self.status != "success":
            return web.json_response({"status": "error", "error": "too busy"}, status=503)
        result = [series for host, said in self.machines.items() for series in _series(host, said)]
        return web.json_response(
            {"status": "success", "data": {"resultType": "vector", "result": result}}
        )


def _series(host: str, said: Said) -> list[dict[str, Any]]:
    def one(name: str, value: float, **labels: str) -> dict[str, Any]:
        return {"metric": {"__name__": name, "host": host, **labels}, "value": [NOW, str(value)]}

    return [
        one("node_textfile_mtime_seconds", said.written, service=f"{host}.node-exporter"),
        *(one("hearth_container_image", 1, service=s, image=i) for s, i in said.images.items()),
        *(one("hearth_settings_digest", 1, service=s, digest=d) for s, d in said.settings.items()),
    ]


@dataclass
class Stage:
    """A drift check, what it is told, and whom it asks."""

    path: Path
    prometheus: FakePrometheus
    told: dict[str, Any]
    session: aiohttp.ClientSession
    check: DriftCheck

    def tell(self, age: float = 3600, **changes: Any) -> None:
        """Changes the settings, so many seconds ago."""
        self.told |= changes
        self.path.write_text(json.dumps(self.told))
        os.utime(self.path, (time.time() - age,) * 2)

    async def round(self) -> dict[str, Any]:
        """What the page says after one more round."""
        await self.check.round(self.session)
        return self.check.page()

    def samples(self, name: str) -> dict[str, float]:
        """A metric's samples by host."""
        families = text_string_to_metric_families(self.check.metrics.text().decode())
        return {
            sample.labels.get("host", ""): sample.value
            for family in families
            for sample in family.samples
            if sample.name == name
        }


@asynccontextmanager
async def stage(tmp_path: Path, tls: dict[str, str], **changes: Any) -> AsyncIterator[Stage]:
    now = time.time()
    fake = FakePrometheus({"pi51": gateway(now), "nano": fallback(now)})
    app = web.Application()
    app.router.add_get("/api/v1/query", fake.query)
    async with serving(app) as url, aiohttp.ClientSession() as session:
        told = document(tls[secrets.AUTHORITY], prometheus=url, **changes)
        path = tmp_path / "drift-check.json"
        path.write_text(json.dumps(told))
        os.utime(path, (now - 3600, now - 3600))
        yield Stage(path, fake, told, session, DriftCheck(path))


def test_a_round_counts_the_services_that_differ_by_machine(
    tmp_path: Path, tls: dict[str, str]
) -> None:
    async def scenario() -> None:
        async with stage(tmp_path, tls) as it:
            before = time.time()
            page = await it.round()
            assert it.samples("hearth_drift") == {"pi51": 0, "nano": 0}
            assert page["machines"]["pi51"] == {"known": True, "differences": {}}

            it.prometheus.machines["pi51"].settings[NGINX] = "changed by hand"
            page = await it.round()
            assert it.samples("hearth_drift") == {"pi51": 1, "nano": 0}
            assert it.samples("hearth_drift_unknown") == {"pi51": 0, "nano": 0}
            assert page["machines"]["pi51"]["differences"] == {NGINX: "has other settings"}
            (checked,) = it.samples("hearth_drift_last_check_timestamp_seconds").values()
            assert checked >= before
            assert 'hearth_drift{board="jetson-nano-2gb",host="nano",tier="edge"} 0.0' in (
                it.check.metrics.text().decode()
            )

    asyncio.run(scenario())


def test_prometheus_is_asked_once_a_round(tmp_path: Path, tls: dict[str, str]) -> None:
    async def scenario() -> None:
        async with stage(tmp_path, tls) as it:
            await it.round()
            assert len(it.prometheus.asked) == 1

    asyncio.run(scenario())


def test_a_machine_that_is_silent_is_unknown_and_not_drifted(
    tmp_path: Path, tls: dict[str, str]
) -> None:
    async def scenario() -> None:
        async with stage(tmp_path, tls) as it:
            del it.prometheus.machines["nano"]
            page = await it.round()
            assert it.samples("hearth_drift") == {"pi51": 0}
            assert it.samples("hearth_drift_unknown") == {"pi51": 0, "nano": 1}
            assert page["complaints"] == {"nano": "does not say how it is"}

    asyncio.run(scenario())


def test_changed_settings_count_from_the_next_round_on(tmp_path: Path, tls: dict[str, str]) -> None:
    async def scenario() -> None:
        async with stage(tmp_path, tls) as it:
            await it.round()
            services = it.told["services"]
            it.tell(services={**services, OLLAMA: {"image": "sha256:new", "settings": None}})
            await it.round()
            assert it.samples("hearth_drift") == {"pi51": 0, "nano": 1}

    asyncio.run(scenario())


def test_until_a_machine_speaks_under_new_settings_its_verdict_stands(
    tmp_path: Path, tls: dict[str, str]
) -> None:
    async def scenario() -> None:
        async with stage(tmp_path, tls) as it:
            await it.round()
            services = it.told["services"]
            new = {**services, OLLAMA: {"image": "sha256:new", "settings": None}}
            it.tell(age=-1, services=new)
            page = await it.round()
            assert it.samples("hearth_drift") == {"pi51": 0, "nano": 0}
            assert page["complaints"] == {}

            it.prometheus.machines["nano"] = Said(time.time() + 2, {OLLAMA: "sha256:new"}, {})
            await it.round()
            assert it.samples("hearth_drift") == {"pi51": 0, "nano": 0}

    asyncio.run(scenario())


def test_a_new_check_knows_nothing_of_a_machine_that_has_yet_to_speak(
    tmp_path: Path, tls: dict[str, str]
) -> None:
    async def scenario() -> None:
        async with stage(tmp_path, tls) as it:
            it.tell(age=-1)
            page = await it.round()
            assert it.samples("hearth_drift") == {}
            assert it.samples("hearth_drift_unknown") == {"pi51": 1, "nano": 1}
            # It has had no time to: nobody needs to hear of that.
            assert page["complaints"] == {}

    asyncio.run(scenario())


def test_settings_that_are_broken_leave_those_before_them_in_force(
    tmp_path: Path, tls: dict[str, str]
) -> None:
    async def scenario() -> None:
        async with stage(tmp_path, tls) as it:
            it.path.write_text("{")
            page = await it.round()
            assert "run `hearth provision`" in page["complaints"]["settings"]
            assert it.check.settings.name == "pi31.drift-check"

    asyncio.run(scenario())


def test_what_comes_and_goes_is_logged_once(
    tmp_path: Path, tls: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with stage(tmp_path, tls) as it:
            await it.round()
            it.prometheus.machines["pi51"].settings[NGINX] = "changed by hand"
            for _ in range(3):
                await it.round()
            it.prometheus.machines["pi51"].settings[NGINX] = "dn"
            for _ in range(3):
                await it.round()

    with caplog.at_level(logging.INFO, "driftcheck"):
        asyncio.run(scenario())
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", f"{NGINX}: has other settings"),
        ("INFO", f"{NGINX}: as it should be again"),
    ]


@pytest.mark.parametrize("how", ["refuses", "is away"])
def test_without_an_answer_of_prometheus_nothing_is_known(
    tmp_path: Path, tls: dict[str, str], how: str
) -> None:
    async def scenario() -> None:
        async with stage(tmp_path, tls) as it:
            if how == "refuses":
                it.prometheus.status = "error"
            else:
                it.tell(prometheus="http://127.0.0.1:9")
            page = await it.round()
            assert it.samples("hearth_drift_unknown") == {"pi51": 1, "nano": 1}
            assert it.samples("hearth_drift_last_check_timestamp_seconds") == {"": 0}
            assert page["checked"] is None
            said = page["complaints"]["prometheus"]
            assert "too busy" in said if how == "refuses" else "127.0.0.1:9" in said

    asyncio.run(scenario())


@asynccontextmanager
async def gateway_with(tls: dict[str, str], folder: Path) -> AsyncIterator[Certificate]:
    """A server that shows a certificate."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    certificate.write_text(tls[secrets.CERTIFICATE])
    key.write_text(tls[secrets.PRIVATE_KEY])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Certificate(service=NGINX, address="127.0.0.1", port=port)


def test_the_expiry_of_the_certificate_that_is_served_is_told(
    tmp_path: Path, tls: dict[str, str]
) -> None:
    async def scenario() -> None:
        async with gateway_with(tls, tmp_path) as where:
            places = [where.model_dump()]
            async with stage(tmp_path, tls, certificates=places) as it:
                page = await it.round()
                (expiry,) = it.samples("hearth_certificate_expiry_timestamp_seconds").values()
                assert timedelta(days=820) < timedelta(seconds=expiry - time.time())
                line = 'service="pi51.nginx",subject_name="CN=Hearth gateway",tier="gateway"'
                assert line in it.check.metrics.text().decode()
                assert page["certificates"][NGINX]["subject"] == "CN=Hearth gateway"
                assert page["complaints"] == {}

    asyncio.run(scenario())


def test_a_certificate_that_has_expired_is_told_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "_LIFETIME", timedelta(minutes=-30))
    outlived = made()

    async def scenario() -> None:
        async with gateway_with(outlived, tmp_path) as where:
            seen = await served(where, outlived[secrets.AUTHORITY])
            assert -1900 < seen.expiry - time.time() < -1700

    asyncio.run(scenario())


def test_a_certificate_that_the_labs_authority_did_not_sign_is_refused(
    tmp_path: Path, tls: dict[str, str]
) -> None:
    async def scenario() -> None:
        async with gateway_with(made(), tmp_path) as where:
            with pytest.raises(Unserved, match="unable to get local issuer certificate"):
                await served(where, tls[secrets.AUTHORITY])

    asyncio.run(scenario())


def test_where_nobody_serves_a_certificate_that_is_said(
    tmp_path: Path, tls: dict[str, str]
) -> None:
    async def scenario() -> None:
        places = [{"service": NGINX, "address": "127.0.0.1", "port": 9}]
        async with stage(tmp_path, tls, certificates=places) as it:
            page = await it.round()
            assert "127.0.0.1:9" in page["complaints"][f"certificate of {NGINX}"]
            assert it.samples("hearth_certificate_expiry_timestamp_seconds") == {}

    asyncio.run(scenario())


def test_it_goes_round_and_shows_what_it_found(tmp_path: Path, tls: dict[str, str]) -> None:
    async def scenario() -> None:
        async with (
            stage(tmp_path, tls) as it,
            serving(application(it.check)) as url,
        ):
            await eventually(lambda: len(it.prometheus.asked) >= 3)
            async with it.session.get(url) as answer:
                assert (await answer.json())["machines"].keys() == {"pi51", "nano"}
            async with it.session.get(f"{url}/health") as answer:
                assert answer.status == 200
            async with it.session.get(f"{url}/metrics") as answer:
                assert answer.headers["Content-Type"].startswith("text/plain")
                assert "hearth_drift{" in await answer.text()

    asyncio.run(scenario())


def test_it_is_not_well_once_its_rounds_have_ended(
    tmp_path: Path, tls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def end(_self: DriftCheck) -> None:
        """At once."""

    async def scenario() -> None:
        monkeypatch.setattr(DriftCheck, "rounds", end)
        async with (
            stage(tmp_path, tls) as it,
            serving(application(it.check)) as url,
            it.session.get(f"{url}/health") as answer,
        ):
            assert answer.status == 503

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read (No such file or directory); run `hearth provision`"),
        ("{", "is not what it should be"),
        ('{"name": "x", "nmae": "y"}', "nmae: Extra inputs are not permitted"),
    ],
    ids=["missing", "no JSON", "misspelt"],
)
def test_settings_that_cannot_be_used_say_why(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "drift-check.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        load(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert said in str(raised.value)
