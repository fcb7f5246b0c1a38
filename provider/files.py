"""The shell that puts a folder's files in place, reads what is there, and takes it away."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping

GONE = "no such folder"


def digest(*parts: str) -> str:
    """SHA-256 of some texts, hexadecimal; no two lists of texts have the same."""
    sizes = ",".join(str(len(part)) for part in parts)
    return hashlib.sha256("".join([sizes, *parts]).encode()).hexdigest()


def written(text: str) -> str:
    """A file's text as it is put: it ends with a newline."""
    return text if not text or text.endswith("\n") else f"{text}\n"


def file_digest(text: str) -> str:
    """SHA-256 of a file as it is put, hexadecimal."""
    return hashlib.sha256(written(text).encode()).hexdigest()


def put_script(folder: str, files: Mapping[str, str], reload: str) -> str:
    """Makes a folder hold exactly these files.

    Each is replaced whole, so that who reads it meanwhile sees the old or the new one. Where the
    reload fails, the files are what they were.
    """
    quoted, parent = shlex.quote(folder), shlex.quote(folder.rpartition("/")[0])
    lines = [
        "set -eu",
        "umask 077",
        f"mkdir -p {parent} && chmod 700 {parent}",
        f"new={quoted}.new old={quoted}.old",
        "rm -rf $new $old",
        f"mkdir $new && mkdir -p {quoted} && chmod 755 {quoted}",
    ]
    for path, text in sorted(files.items()):
        name, end = shlex.quote(path), f"end-of-{digest(text)[:16]}"
        if "/" in path:
            lines.append(f"mkdir -p $new/{shlex.quote(path.rpartition('/')[0])}")
        lines += [f"cat >$new/{name} <<'{end}'", f"{written(text)}{end}"]
    lines += [
        "chmod -R u=rwX,go=rX $new",
        f"cp -a {quoted} $old",
        # Into the folder that containers have mounted: never a folder in its place.
        "put() {",
        "    (cd $1 && find . -type d) | while read -r d; do",
        f"        mkdir -p {quoted}/$d && chmod 755 {quoted}/$d",
        "    done",
        "    (cd $1 && find . -type f) | while read -r f; do",
        f"        cp -p $1/$f {quoted}/$f.put && mv {quoted}/$f.put {quoted}/$f",
        "    done",
        f"    (cd {quoted} && find . -type f) | while read -r f; do",
        f"        [ -e $1/$f ] || rm {quoted}/$f",
        "    done",
        "}",
        "put $new",
    ]
    if reload:
        lines += [
            f"if ! ( {reload} ); then",
            "    put $old",
            "    rm -rf $new $old",
            f"    echo {shlex.quote(f'{folder}: refused; the files before them are back')} >&2",
            "    exit 1",
            "fi",
        ]
    return "\n".join([*lines, "rm -rf $new $old", ""])


def read_script(folder: str) -> str:
    """Prints the digest and the path of each file of a folder."""
    quoted = shlex.quote(folder)
    return (
        f"if [ -d {quoted} ]; then cd {quoted} && find . -type f -exec sha256sum {{}} +; "
        f"else echo {shlex.quote(GONE)}; fi\n"
    )


def remove_script(folder: str) -> str:
    """Takes a folder away."""
    return f"rm -rf {shlex.quote(folder)}\n"


def differing(files: Mapping[str, str], printed: str) -> set[str]:
    """The paths that are not on the machine as `files` has them, by what `read_script` printed."""
    there = {}
    for line in printed.splitlines():
        found, _, path = line.partition("  ./")
        there[path] = found
    wanted = {path: file_digest(text) for path, text in files.items()}
    return {path for path in wanted.keys() | there.keys() if wanted.get(path) != there.get(path)}
