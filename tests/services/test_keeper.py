"""Backups: whole or not there, read back, copied, found out when they are tampered with."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.keeper import run, serve
from services.keeper.errors import KeeperError
from services.keeper.snapshot import MANIFEST, Manifest
from services.keeper.store import Store
from tests.ports import free_port
from tests.services.keepers import PASSWORDS, FakeS3, Lab, grafana_running


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    with FakeS3().running() as fake:
        for number in range(5):
            fake.put(f"/images/2026/{number} & more.png", f"pixels {number}".encode())
        yield fake


@pytest.fixture(scope="module")
def grafana(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with grafana_running(tmp_path_factory.mktemp("grafana")) as url:
        yield url


@pytest.fixture
def lab(tmp_path: Path, s3: FakeS3, grafana: str) -> Lab:
    """Everything but a database."""
    return Lab(tmp_path).with_store(s3.url).with_grafana(grafana)


def silent(_line: str) -> None:
    """Take a line of progress and say nothing."""


def backup(lab: Lab) -> Manifest:
    return run.backup(lab.settings, lab.store, "a test", silent)


def post(url: str, path: str, body: dict[str, Any]) -> Any:
    """What Grafana answers."""
    login = base64.b64encode(f"admin:{PASSWORDS['grafana']}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - on loopback
        url + path,
        json.dumps(body).encode(),
        {"Authorization": f"Basic {login}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:  # noqa: S310 - the same
        return json.loads(response.read())


def left(lab: Lab) -> set[str]:
    """The names in the folder of the backups."""
    return {path.name for path in (lab.home / "backups").iterdir()}


def test_every_object_is_kept_once_by_its_digest(lab: Lab, s3: FakeS3) -> None:
    s3.put("/images/again.png", b"pixels 0")
    made = backup(lab)
    assert made.minio is not None
    kept = {o.key: lab.store.object(o.sha256).read_bytes() for o in made.minio.buckets["images"]}
    assert kept == s3.in_bucket("images")
    assert {o.content_type for o in made.minio.objects} == {"image/png"}
    assert len(list((lab.home / "backups/objects").iterdir())) == 5


def test_an_object_is_fetched_when_it_is_new_or_changed(lab: Lab, s3: FakeS3) -> None:
    backup(lab)
    s3.gets.clear()
    s3.put("/images/new.png", b"new")
    s3.put("/images/2026/1 & more.png", b"changed")
    backup(lab)
    assert sorted(s3.gets) == ["/images/2026/1 & more.png", "/images/new.png"]


def test_a_lost_object_is_fetched_again(lab: Lab, s3: FakeS3) -> None:
    lab.store.object(backup(lab).minio.objects.__next__().sha256).unlink()  # type: ignore[union-attr]
    s3.gets.clear()
    backup(lab)
    assert len(s3.gets) == 1


def test_what_people_made_in_grafana_is_kept_and_nothing_provisioned(
    lab: Lab, grafana: str
) -> None:
    post(grafana, "/api/folders", {"title": "Mine", "uid": "mine"})
    post(grafana, "/api/folders", {"title": "Inner", "uid": "inner", "parentUid": "mine"})
    for uid, folder in (("one", "inner"), ("two", "")):
        body = {"dashboard": {"uid": uid, "title": uid}, "folderUid": folder, "overwrite": True}
        post(grafana, "/api/dashboards/db", body)
    made = backup(lab)
    kept = json.loads(lab.store.file(made.id, "grafana.json").read_bytes())
    assert kept == {
        "folders": [
            {"uid": "mine", "title": "Mine", "parentUid": ""},
            {"uid": "inner", "title": "Inner", "parentUid": "mine"},
        ],
        "dashboards": [
            {"folderUid": "inner", "dashboard": {"uid": "one", "title": "one"}},
            {"folderUid": "", "dashboard": {"uid": "two", "title": "two"}},
        ],
    }


def test_a_new_grafana_gets_folders_and_dashboards_back(
    lab: Lab, grafana: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = {"dashboard": {"uid": "own", "title": "Own"}, "folderUid": "hearth", "overwrite": True}
    post(grafana, "/api/dashboards/db", body)
    made = backup(lab)
    with grafana_running(tmp_path / "another") as url:
        post(url, "/api/dashboards/db", {"dashboard": {"uid": "own", "title": "changed"}})
        assert lab.with_grafana(url).run("restore", made.id, "grafana") == 0
        assert json.loads(capsys.readouterr().out) == {"different": []}
        again = backup(lab)
    assert again.grafana == made.grafana


def test_missing_and_changed_objects_are_put_back_and_later_ones_stay(
    lab: Lab, s3: FakeS3, capsys: pytest.CaptureFixture[str]
) -> None:
    before = dict(s3.objects)
    made = backup(lab)
    del s3.objects["/images/2026/0 & more.png"]
    s3.put("/images/2026/1 & more.png", b"overwritten")
    s3.put("/images/later.png", b"later")
    assert lab.run("restore", made.id, "minio") == 0
    assert json.loads(capsys.readouterr().out) == {"different": []}
    images = {k: v for k, v in s3.objects.items() if k.startswith("/images/")}
    assert images == {**before, "/images/later.png": (b"later", "image/png")}


def test_an_object_that_did_not_come_back_is_told(
    lab: Lab, s3: FakeS3, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backup(lab)
    key = "2026/0 & more.png"
    del s3.objects[f"/images/{key}"]
    monkeypatch.setattr(FakeS3, "put", lambda *_: None)
    assert lab.run("restore", made.id, "minio") == 1
    assert json.loads(capsys.readouterr().out) == {"different": [f"images/{key}"]}


def test_every_backup_has_a_copy_in_the_store(lab: Lab, s3: FakeS3) -> None:
    made = backup(lab)
    copied = s3.in_bucket("backups")
    assert copied.keys() == {f"{made.id}/{name}" for name in ("manifest.json", "grafana.json")}
    assert copied[f"{made.id}/{MANIFEST}"] == lab.store.file(made.id, MANIFEST).read_bytes()


def test_a_copy_that_is_missing_or_broke_off_is_made_by_the_next_run(lab: Lab, s3: FakeS3) -> None:
    made = backup(lab)
    del s3.objects[f"/backups/{made.id}/{MANIFEST}"]
    backup(lab)
    assert f"{made.id}/{MANIFEST}" in s3.in_bucket("backups")


def test_no_password_is_written_or_said(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab.run("backup", "--json") == 0
    said = capsys.readouterr()
    files = [p.read_text() for p in (lab.home / "backups").rglob("*.json")]
    for text in (said.out, said.err, *files):
        assert not any(password in text for password in PASSWORDS.values())


@pytest.mark.parametrize("spoil", ["bytes", "size", "missing", "object", "manifest"])
def test_a_tampered_backup_is_found_out(
    lab: Lab, spoil: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = backup(lab)
    path = lab.store.file(made.id, "grafana.json")
    if spoil == "bytes":
        path.write_bytes(bytes(reversed(path.read_bytes())))
    elif spoil == "size":
        path.write_bytes(path.read_bytes() + b" ")
    elif spoil == "missing":
        path.unlink()
    elif spoil == "object":
        path = next((lab.home / "backups/objects").iterdir())
        path.write_bytes(b"x" * path.stat().st_size)
    else:
        path = lab.store.file(made.id, MANIFEST)
        path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    assert lab.run("verify", made.id) == 1
    assert path.name in capsys.readouterr().err


def test_what_breaks_off_leaves_no_backup_and_counts_as_a_failure(
    lab: Lab, s3: FakeS3, capsys: pytest.CaptureFixture[str]
) -> None:
    backup(lab)
    before = left(lab)
    s3.put("/images/new.png", b"new")
    s3.broken = True
    assert lab.run("backup") == 1
    assert "new.png" in capsys.readouterr().err
    assert left(lab) - {".lock", ".failures"} == before
    assert lab.store.failures == 1


def test_a_backup_that_cannot_be_read_back_is_none(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "services.keeper.objects.save",
        lambda _told, _password, store, _say: _with_lost_object(store),
    )
    with pytest.raises(KeeperError, match="is missing"):
        backup(lab)
    assert lab.store.ids() == []


def _with_lost_object(store: Store) -> Any:
    from services.keeper.snapshot import Minio, Object  # noqa: PLC0415 - of one test

    sha256, size = store.add_object([b"lost"])
    store.object(sha256).unlink()
    lost = Object(key="k", bytes=size, sha256=sha256, etag="e", content_type="t")
    return Minio(service="pi52.minio", buckets={"images": (lost,)})


WAITS = """
import sys, time
from services.keeper import __main__ as keeper, run
run.verify_folder = lambda *_: (print("verifying", flush=True), time.sleep(60))
sys.exit(keeper.main(["backup"]))
"""


def test_a_killed_run_leaves_nothing_that_looks_like_a_backup(lab: Lab) -> None:
    lab.write()
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS],
        env=os.environ | {"KEEPER_CONFIG": str(lab.config)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"verifying\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [name for name in left(lab) if name.startswith(".new-")]
    assert lab.store.ids() == []
    assert lab.run("backup") == 0
    assert not [name for name in left(lab) if name.startswith(".new-")]
    assert len(lab.store.ids()) == 1


def test_one_run_at_a_time(lab: Lab) -> None:
    store, told = lab.store, list[str]()
    with (
        store.lock(0, told.append),
        pytest.raises(KeeperError, match="another run is under way"),
        Store(store.folder).lock(0.2, told.append),
    ):
        pass
    assert told == ["another run is under way: waiting for it"]


def test_a_run_that_waits_goes_on_when_the_other_has_ended(lab: Lab) -> None:
    entered = threading.Event()

    def hold() -> None:
        with lab.store.lock(0, silent):
            entered.set()
            time.sleep(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    assert lab.run("backup") == 0
    thread.join()


def test_before_the_first_backup_a_service_that_is_away_is_no_failure(
    lab: Lab, s3: FakeS3, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.with_store(f"http://127.0.0.1:{free_port()}")
    assert lab.run("backup") == 3
    assert "nothing to back up yet: pi52.minio: does not answer" in capsys.readouterr().err
    assert lab.store.failures == 0
    assert lab.with_store(s3.url).run("backup") == 0
    assert lab.with_store(f"http://127.0.0.1:{free_port()}").run("backup") == 1
    assert lab.store.failures == 1


def test_two_backups_in_one_second_have_names_of_their_own(lab: Lab) -> None:
    first, second = backup(lab), backup(lab)
    assert first.id < second.id
    assert lab.store.ids() == [first.id, second.id]


def archive(lab: Lab, snapshot_id: str, capfdbinary: pytest.CaptureFixture[bytes]) -> bytes:
    """What `export` writes."""
    capfdbinary.readouterr()
    assert lab.run("export", snapshot_id) == 0
    return capfdbinary.readouterr().out


@pytest.fixture
def another(tmp_path: Path) -> Lab:
    """An empty one."""
    (tmp_path / "another").mkdir()
    return Lab(tmp_path / "another")


@pytest.fixture
def take_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Lab, bytes], int]:
    """The exit code of `import`."""

    def run_it(lab: Lab, data: bytes) -> int:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return lab.run("import")

    return run_it


def test_a_backup_is_carried_to_another_folder_whole(
    lab: Lab,
    another: Lab,
    take_in: Callable[[Lab, bytes], int],
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    made = backup(lab)
    data = archive(lab, made.id, capfdbinary)
    assert take_in(another, data) == 0
    assert capfdbinary.readouterr().out.decode() == f"{made.id}\n"
    assert run.verify(another.store, made.id, silent) == made
    assert take_in(another, data) == 0  # is there already


def changed(data: bytes, name: str, content: bytes | None) -> bytes:
    """An archive with a member that has other content; without it, for None."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as old,
        tarfile.open(fileobj=out, mode="w") as new,
    ):
        names = [member.name for member in old]
        for member in [*old, *([] if name in names else [tarfile.TarInfo(name)])]:
            file = old.extractfile(member) if member.name in names else None
            body = file.read() if file else b""
            if member.name == name and content is None:
                continue
            body = content or b"" if member.name == name else body
            member.size = len(body)
            new.addfile(member, io.BytesIO(body))
    return out.getvalue()


@pytest.mark.parametrize("what", ["cut", "lost", "spoilt", "more", "outside", "no manifest"])
def test_an_archive_that_is_not_right_is_refused(
    lab: Lab,
    another: Lab,
    take_in: Callable[[Lab, bytes], int],
    what: str,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    made = backup(lab)
    data = archive(lab, made.id, capfdbinary)
    some = next(iter(made.digests.items()))
    data = {
        "cut": lambda: data[: len(data) // 2],
        "lost": lambda: changed(data, "grafana.json", None),
        "spoilt": lambda: changed(data, f"objects/{some[0]}", b"x" * some[1]),
        "more": lambda: changed(data, "postgres.dump", b"x"),
        "outside": lambda: changed(data, "../outside", b"x"),
        "no manifest": lambda: changed(data, MANIFEST, None),
    }[what]()
    assert take_in(another, data) == 1
    assert another.store.ids() == []
    assert not [name for name in left(another) if name.startswith(".new-")]
    assert not (another.home / "outside").exists()


def test_pruning_takes_backups_copies_and_objects_that_nobody_needs(
    lab: Lab, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = backup(lab)
    del s3.objects["/images/2026/0 & more.png"]
    second = backup(lab)
    # A copy without a backup here is all there is, where this folder was lost.
    s3.put(f"/backups/20200101T030000Z/{MANIFEST}", b"{}")
    monkeypatch.setattr(run, "kept", lambda ids, _keep: frozenset(sorted(ids)[-1:]))
    assert run.prune(lab.settings, lab.store, silent) == [first.id]
    assert lab.store.ids() == [second.id]
    gone = hashlib.sha256(b"pixels 0").hexdigest()
    assert not lab.store.object(gone).exists()
    assert len(list((lab.home / "backups/objects").iterdir())) == 4
    copies = {key.partition("/")[0] for key in s3.in_bucket("backups")}
    assert copies == {second.id, "20200101T030000Z"}
    assert run.verify(lab.store, second.id, silent) == second


def test_only_a_run_that_is_told_to_prunes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "kept", lambda ids, _keep: frozenset(sorted(ids)[-1:]))
    for _ in range(2):
        assert lab.run("backup") == 0
    assert len(lab.store.ids()) == 2
    assert lab.run("backup", "--prune") == 0
    assert len(lab.store.ids()) == 1


def test_what_is_there_is_listed_with_its_reason(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab.run("list") == 0
    assert capsys.readouterr().out == ""
    assert lab.run("backup", "--reason", "before an upgrade of pi52.postgres") == 0
    (snapshot_id,) = lab.store.ids()
    capsys.readouterr()
    assert lab.run("list") == 0
    line = capsys.readouterr().out
    assert line.split()[0] == snapshot_id
    assert "before an upgrade of pi52.postgres" in line


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["verify"], "there is no backup yet"),
        (["verify", "20200101T030000Z"], "no such backup; known are none"),
        (["cat", "../settings", MANIFEST], "no such backup"),
        (["restore", "20200101T030000Z", "minio"], "no such backup; known are none"),
    ],
)
def test_what_is_not_there_is_said(
    lab: Lab, command: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab.run(*command) == 1
    assert told in capsys.readouterr().err


def test_wrong_settings_are_said_without_secrets(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.told["at"] = "25:00"
    lab.told["keep"] = {"daily": 0, "weekly": 4, "monthly": 6}
    assert lab.run("list") == 2
    told = capsys.readouterr().err
    assert "keeper.json: at: " in told
    assert "keeper.json: keep.daily: " in told


def test_prometheus_is_told_about_each_service(lab: Lab) -> None:
    made = backup(lab)
    lab.store.count_failure()
    server = serve.pages(lab.store, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        with urllib.request.urlopen(f"{url}/health") as response:  # noqa: S310 - on loopback
            assert response.status == 200
        with urllib.request.urlopen(f"{url}/metrics") as response:  # noqa: S310 - the same
            lines = response.read().decode().splitlines()
    finally:
        server.shutdown()
        server.server_close()
    figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    last = "hearth_backup_last_success_timestamp_seconds"
    for service in ("pi52.minio", "pi41.grafana"):
        assert float(figures[f'{last}{{service="{service}"}}']) == made.time.timestamp()
    assert float(figures['hearth_backup_size_bytes{service="pi52.minio"}']) == 40
    assert float(figures["hearth_backup_failures_total"]) == 1
    assert float(figures["hearth_backup_snapshots"]) == 1
