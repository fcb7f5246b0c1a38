"""Who may ask the gateway, and how often, whatever happens to it meanwhile."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hearth.access import smoke_key
from tests.e2e.conftest import SITE_FILE, Lab, Ran, ask, have, run

pytestmark = pytest.mark.e2e

Up = tuple[Lab, Ran, dict[str, Any]]
HELLO = {"messages": [{"role": "user", "content": "hello"}], "options": {"num_predict": 4}}
RESTART_SECONDS = 60
LIMITED = 429


@pytest.mark.parametrize("route", ["chat", "code", "image"])
@pytest.mark.parametrize("key", ["", "no-key-of-this-lab"], ids=["none", "wrong"])
def test_without_a_key_nobody_gets_anything(lab: Up, route: str, key: str) -> None:
    answer = ask(lab[0], route, HELLO, key=key)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Key realm="hearth"'


def test_the_command_that_up_prints_asks_the_lab(lab: Up) -> None:
    (command,) = re.findall(r"^ask +(curl .*)$", lab[1].output, re.MULTILINE)
    assert smoke_key(lab[0].site) not in command
    have("curl")
    ran = run(["sh", "-c", f"{command} 2>/dev/null"], timeout=60)
    assert ran.code == 0, ran.output
    assert '"done":true' in ran.output.replace(" ", "")


def test_a_person_gets_a_key_and_is_counted_by_name(lab: Up) -> None:
    it = lab[0]
    printed = it.hearth("key", str(SITE_FILE), "phone")
    assert printed.code == 0, printed.output
    assert ask(it, "chat", HELLO, key=printed.output.strip()).status == 200
    sql = "SELECT count(*) FROM usage_by_day WHERE consumer = 'phone'"
    query = f'echo "{sql}" | docker exec -i postgres psql -U hearth -d hearth -At'
    deadline = time.monotonic() + 60
    while it.ssh("pi52", query) == "0":
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.fixture
def changed_site(lab: Up, tmp_path: Path) -> Iterator[Path]:
    """The site with one client more and a limit that outlasts a test; it is put back afterwards."""
    path = tmp_path / "e2e.yaml"
    path.write_text(
        f"extends: {SITE_FILE.with_suffix('')}\nname: e2e\n"
        "api_clients: [phone, laptop, smoke, tablet]\n"
        "routes:\n  code:\n    rate_limit: {requests: 3, per: hour}\n"
    )
    yield path
    assert lab[0].hearth("provision", str(SITE_FILE)).code == 0


def test_a_new_client_gets_in_and_limits_outlive_a_restart_of_the_engine(
    lab: Up, changed_site: Path
) -> None:
    it = lab[0]
    engine = it.ssh("pi51", "docker ps -q --no-trunc -f name=^engine$")
    ran = it.hearth("provision", str(changed_site))
    assert ran.code == 0, ran.output
    assert it.ssh("pi51", "docker ps -q --no-trunc -f name=^engine$") == engine
    key = it.hearth("key", str(changed_site), "tablet").output.strip()
    assert ask(it, "chat", HELLO, key=key).status == 200

    # A new hour would be a new count.
    if (left := 3600 - time.time() % 3600) < RESTART_SECONDS:
        time.sleep(left)
    statuses = [ask(it, "code", {}).status for _ in range(4)]
    assert LIMITED not in statuses[:3]
    assert statuses[3] == LIMITED
    it.ssh("pi51", "docker restart engine >/dev/null")
    deadline = time.monotonic() + RESTART_SECONDS
    while (answer := ask(it, "code", {})).status in {502, 503, 504}:
        assert time.monotonic() < deadline
    assert answer.status == LIMITED
    assert 0 < int(answer.headers["retry-after"]) <= 3600
    # Another client has a limit of its own.
    assert ask(it, "code", {}, key=key).status != LIMITED
