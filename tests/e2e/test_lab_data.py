"""What people say is kept: through the gateway, in the stores, and while a store is away."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from hearth.engine import environment
from inventory.paths import PROJECT
from tests.e2e.conftest import HEARTH, SITE_FILE, Answer, Lab, Ran, ask, chat, run
from tests.notebooks import NotAdmittedError, run_cell
from tests.ports import free_port

pytestmark = pytest.mark.e2e

Up = tuple[Lab, Ran, dict[str, Any]]
SECONDS = 60
WHO_SEES_WHAT = r"""
IFS= read -r root </settings/root-password
export MC_HOST_lab="http://root:$root@127.0.0.1:9000"
mc ls lab | awk '{print $NF}'
for user in assistant backup; do
    mc admin user info lab $user --json | grep -o '"policyName":"[a-z]*"'
done
"""


@pytest.fixture
def it(lab: Up) -> Iterator[Lab]:
    """The lab; whatever a test stopped runs again after it."""
    here = lab[0]
    yield here
    for name in here.site.hosts:
        here.ssh(name, "docker start $(docker ps -aq) >/dev/null")
    wait(lambda: chat(here, "hello").headers.get("x-served-by") in UPSTREAMS, "the lab to be well")


UPSTREAMS = ("agx0.assistant", "orin0.assistant")


def wait(true: Callable[[], bool], what: str) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, f"waited {SECONDS} s for {what}"
        time.sleep(0.5)


def messages(it: Lab, conversation: str) -> list[tuple[str, str]]:
    """Who said what is in a conversation: role and machine, in the order of its messages."""
    sql = (
        "SELECT role, served_by FROM messages WHERE conversation_id = :'conversation' "
        "ORDER BY at, ordinal"
    )
    psql = f"psql -U hearth -d hearth -At -v conversation={conversation}"
    lines = it.ssh("pi52", f'echo "{sql}" | docker exec -i postgres {psql}').splitlines()
    return [(role, served_by) for role, _, served_by in (line.partition("|") for line in lines)]


def roles(it: Lab, conversation: str) -> list[str]:
    """The same without the machines."""
    return [role for role, _ in messages(it, conversation)]


def test_a_chat_lands_in_postgres_with_who_answered(it: Lab) -> None:
    answer = chat(it, "hello")
    assert answer.status == 200
    assert answer.lines[-1]["done"] is True
    conversation = answer.headers["x-conversation-id"]
    wait(lambda: roles(it, conversation) == ["user", "assistant"], "the messages")
    assert messages(it, conversation)[-1] == ("assistant", answer.headers["x-served-by"])


def test_a_conversation_goes_on_wherever_it_is_asked(it: Lab) -> None:
    conversation = str(uuid4())
    served = {
        chat(it, f"part {n}", conversation=conversation).headers["x-served-by"] for n in range(8)
    }
    assert served == set(UPSTREAMS)
    wait(lambda: len(roles(it, conversation)) == 16, "all its messages")
    assert roles(it, conversation) == ["user", "assistant"] * 8


def test_what_is_said_while_the_database_is_away_is_kept_once(it: Lab) -> None:
    it.ssh("pi52", "docker stop postgres >/dev/null")
    answers = [chat(it, "hello") for _ in range(4)]
    assert [answer.status for answer in answers] == [200] * 4
    it.ssh("pi52", "docker start postgres >/dev/null")
    conversations = [answer.headers["x-conversation-id"] for answer in answers]
    wait(lambda: all(len(roles(it, c)) >= 2 for c in conversations), "their messages")
    assert [roles(it, c) for c in conversations] == [["user", "assistant"]] * 4


def test_a_chat_needs_no_redis(it: Lab) -> None:
    it.ssh("pi52", "docker stop redis >/dev/null")
    assert [chat(it, "hello").status for _ in range(4)] == [200] * 4


def test_the_edge_answers_while_no_ai_node_does_and_no_longer(it: Lab) -> None:
    for host in ("agx0", "orin0"):
        it.ssh(host, "docker stop assistant >/dev/null")
    assert {chat(it, "hello").headers.get("x-served-by") for _ in range(4)} == {"nano.assistant"}
    for host in ("agx0", "orin0"):
        it.ssh(host, "docker start assistant >/dev/null")
    wait(lambda: chat(it, "hello").headers.get("x-served-by") in UPSTREAMS, "an AI node")


def test_a_killed_ai_node_is_left_out_and_taken_back(it: Lab) -> None:
    it.ssh("agx0", "docker stop assistant >/dev/null")
    time.sleep(5)
    assert {chat(it, "hello").headers.get("x-served-by") for _ in range(5)} == {"orin0.assistant"}
    it.ssh("agx0", "docker start assistant >/dev/null")
    wait(lambda: chat(it, "hello").headers.get("x-served-by") == "agx0.assistant", "its return")


def code(it: Lab, prompt: str) -> Answer:
    """Asks for code, through the gateway."""
    return ask(it, "code", {"prompt": prompt, "options": {"num_predict": 4}})


def analysis(it: Lab, snippet: str) -> dict[str, Any] | None:
    """What SonarQube found in a snippet; None while it was not looked at."""
    sql = "SELECT analysis FROM code_snippets WHERE id = :'snippet'"
    psql = f"psql -U hearth -d hearth -At -v snippet={snippet}"
    found = it.ssh("pi52", f'echo "{sql}" | docker exec -i postgres {psql}')
    return json.loads(found) if found else None


def test_code_is_analysed_after_its_answer_and_answered_without_sonarqube(it: Lab) -> None:
    answer = code(it, "print one")
    assert (answer.status, answer.lines[-1]["done"]) == (200, True)
    snippet = answer.headers["x-snippet-id"]
    wait(lambda: analysis(it, snippet) is not None, "the analysis")
    assert (analysis(it, snippet) or {})["measures"].keys() >= {"bugs", "code_smells", "ncloc"}

    it.ssh("agx0", "docker stop sonarqube >/dev/null")
    answer = code(it, "print two")
    assert answer.status == 200
    log = "docker logs --since 1m assistant 2>&1 | grep -c 'not analysed' || true"
    wait(lambda: it.ssh("agx0", log) != "0", "the assistant to say that it is not analysed")
    assert analysis(it, answer.headers["x-snippet-id"]) is None


@contextmanager
def tunnel(it: Lab, host: str, port: int) -> Iterator[str]:
    """The URL at which a page for administrators answers while this is entered."""
    here = free_port()
    config = PROJECT / ".hearth" / it.site.name / "ssh_config"
    forward = ["-NL", f"127.0.0.1:{here}:127.0.0.1:{port}", "-o", "ExitOnForwardFailure=yes"]
    with subprocess.Popen(["ssh", "-F", str(config), *forward, host]) as ssh:
        try:
            yield f"http://127.0.0.1:{here}"
        finally:
            ssh.terminate()


def test_a_notebook_talks_to_the_models_of_its_machine(it: Lab) -> None:
    placement = it.site.placement("agx0.jupyterhub")
    password = it.ssh("agx0", "docker exec jupyterhub cat /settings/admin")
    cell = (
        "import ollama; "
        "ollama.generate('llama3.2', 'hello', options={'num_predict': 4}).done, 1 + 1"
    )
    with tunnel(it, "agx0", placement.ports["http"]) as url:
        wait(lambda: asyncio.run(answers(url)), "the tunnel")
        with pytest.raises(NotAdmittedError):
            asyncio.run(run_cell(url, "admin", "wrong", "1"))
        assert asyncio.run(run_cell(url, "admin", password, cell)) == "(True, 2)"


async def answers(url: str) -> bool:
    """Whether the hub answers there."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(f"{url}/hub/health") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False


def test_each_user_of_the_object_store_sees_its_own_buckets_alone(it: Lab) -> None:
    found = it.ssh("pi52", f"docker exec -i minio sh -s <<'end'\n{WHO_SEES_WHAT}end")
    assert found.split() == [
        *("backups/", "images/", "models/"),
        *('"policyName":"assistant"', '"policyName":"backup"'),
    ]


def rows(it: Lab, sql: str) -> list[str]:
    """What the lab's database answers, as its owner."""
    psql = "docker exec -i postgres psql -U hearth -d hearth -At"
    return it.ssh("pi52", f"{psql} <<'end'\n{sql}\nend").splitlines()


def contents(it: Lab) -> dict[str, str]:
    """What the lab holds: a digest by table, by object and by dashboard that people made."""
    tables = rows(it, "SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public'")
    digest = "md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), ''))"
    found = {t: rows(it, f"SELECT count(*) || {digest} FROM {t} t")[0] for t in tables}  # noqa: S608
    listed = it.ssh("pi52", f"docker exec -i minio sh -s <<'end'\n{OBJECTS}end")
    found |= dict(line.split() for line in listed.splitlines())
    document = json.loads(grafana(it, "GET", "/api/dashboards/uid/mine"))
    return found | {"dashboard": json.dumps(document["dashboard"]["panels"])}


OBJECTS = r"""
IFS= read -r root </settings/root-password
export MC_HOST_lab="http://root:$root@127.0.0.1:9000"
mc ls --recursive lab/images | awk '{print $NF}' | while read -r key; do
    echo "$key $(mc cat "lab/images/$key" | sha256sum | cut -d' ' -f1)"
done
"""
GRAFANA = r"""
import base64, sys, urllib.request
method, path, body = sys.argv[1:]
login = base64.b64encode(b"admin:" + open("/settings/admin", "rb").read().strip()).decode()
headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
url = "http://127.0.0.1:3000" + path
request = urllib.request.Request(url, body.encode() or None, headers, method=method)
print(urllib.request.urlopen(request).read().decode())
"""


def grafana(it: Lab, method: str, path: str, body: str = "") -> str:
    """What the lab's Grafana answers to its account."""
    arguments = shlex.join([method, path, body])
    return it.ssh("pi41", f"docker exec -i grafana python3 - {arguments} <<'end'\n{GRAFANA}end")


def draw(it: Lab) -> None:
    """Has a picture drawn, which lands in the object store."""
    body = json.dumps({"prompt": "a lighthouse", "width": 64, "height": 64, "steps": 1})
    call = (
        "import sys, urllib.request as u; "
        "r = u.Request('http://127.0.0.1:8200/api/v1/image', sys.argv[1].encode(),"
        " {'Content-Type': 'application/json'}); u.urlopen(r, timeout=60)"
    )
    it.ssh("orin0", f"docker exec assistant python3 -c {shlex.quote(call)} {shlex.quote(body)}")


def make_data(it: Lab) -> None:
    """Something in every store, delivered."""
    conversation = chat(it, "keep this").headers["x-conversation-id"]
    draw(it)
    panels = [{"title": "By hand", "type": "text"}]
    dashboard = {"dashboard": {"uid": "mine", "title": "Mine", "panels": panels}, "overwrite": True}
    grafana(it, "POST", "/api/dashboards/db", json.dumps(dashboard))
    wait(lambda: roles(it, conversation) == ["user", "assistant"], "the messages")
    wait(lambda: rows(it, "SELECT count(*) FROM generated_images") != ["0"], "the image")


def test_a_backup_is_verified_kept_on_two_machines_and_written_to_a_file(
    it: Lab, tmp_path: Path
) -> None:
    make_data(it)
    file = tmp_path / "lab.tar"
    ran = it.hearth("backup", str(SITE_FILE), "--to", str(file))
    assert ran.code == 0, ran.output
    listed = json.loads(it.hearth("backups", str(SITE_FILE), "--json").output)
    made = listed[-1]
    for table, count in made["postgres"]["tables"].items():
        assert int(rows(it, f"SELECT count(*) FROM {table}")[0]) >= count, table  # noqa: S608
    assert made["minio"]["buckets"]["images"]
    assert file.stat().st_mode & 0o777 == 0o600
    copies = WHO_SEES_WHAT.split("mc ls", maxsplit=1)[0] + f"mc ls lab/backups/{made['id']}/\n"
    seen = it.ssh("pi52", f"docker exec -i minio sh -s <<'end'\n{copies}end")
    for name in ("postgres.dump", "grafana.json", "manifest.json"):
        assert name in seen
    verify = f"docker exec backup python3 -m services.keeper verify {made['id']}"
    assert it.ssh("pi31", f"{verify} 2>/dev/null") == made["id"]


def test_a_lab_that_lost_everything_gets_it_back_from_a_file(it: Lab, tmp_path: Path) -> None:
    make_data(it)
    file = tmp_path / "lab.tar"
    ran = it.hearth("backup", str(SITE_FILE), "--to", str(file))
    assert ran.code == 0, ran.output
    before = contents(it)
    destroy(it)
    # An update that is killed in the middle is continued by the next.
    kill_an_update(it)
    ran = it.hearth("provision", str(SITE_FILE))
    assert ran.code == 0, ran.output
    assert {name: it.containers(name) for name in it.site.hosts} == it.expected()
    ran = it.hearth("restore", str(SITE_FILE), "--from", str(file), "--yes")
    assert ran.code == 0, ran.output
    assert contents(it) == before
    assert chat(it, "and on").status == 200


def destroy(it: Lab) -> None:
    """Takes the whole stack away, which leaves the volumes, and then those."""
    command = ["pulumi", "destroy", "--yes", "--skip-preview", "--stack", "e2e"]
    ran = run([*command, "--non-interactive"], timeout=300, env=environment())
    assert ran.code == 0, ran.output
    left = {name: it.containers(name, "-a") for name in it.site.hosts}
    assert left == {name: set() for name in it.site.hosts}
    volumes = {"pi52": "postgres-data minio-data", "pi41": "grafana-data", "pi31": "backup-backups"}
    for host, names in volumes.items():
        it.ssh(host, f"docker volume rm {names}")


def kill_an_update(it: Lab) -> None:
    """Provisions an empty lab until there is a container, and no further."""
    doomed = subprocess.Popen(
        [HEARTH, "provision", str(SITE_FILE)],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not it.containers("pi52", "-a"):
        assert time.monotonic() < deadline
    os.killpg(doomed.pid, signal.SIGKILL)
    doomed.wait()


def test_another_image_of_postgres_has_a_backup_made_first(it: Lab) -> None:
    known = json.loads(it.hearth("backups", str(SITE_FILE), "--json").output)
    images = json.loads(pulumi_config("get", "images"))
    # The same image by the tag that moves: another reference, which is what an upgrade changes.
    other = {**images, "postgres": f"{images['postgres'].partition(':')[0]}:sandbox"}
    pulumi_config("set", "images", json.dumps(other))
    try:
        up = ["pulumi", "up", "--yes", "--skip-preview", "--stack", "e2e", "--non-interactive"]
        ran = run(up, timeout=300, env=environment())
        assert ran.code == 0, ran.output
        made = json.loads(it.hearth("backups", str(SITE_FILE), "--json").output)
    finally:
        # Sets the exact tags again.
        it.hearth("provision", str(SITE_FILE))
    (new,) = made[len(known) :]
    assert new["reason"] == "before an upgrade of pi52.postgres"


def pulumi_config(verb: str, key: str, *value: str) -> str:
    """Asks for, or changes, a value of the stack's configuration."""
    command = ["pulumi", "config", verb, key, *value, "--stack", "e2e", "--non-interactive"]
    ran = run(command, timeout=60, env=environment())
    assert ran.code == 0, ran.output
    return ran.output.strip()
