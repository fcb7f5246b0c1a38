"""Images of the AI nodes."""

from __future__ import annotations

from pathlib import Path

from inventory.services import MODELS
from sandbox.images.recipe import Recipe, copied, settings
from sandbox.model import tiny_model
from sandbox.rootfs import Layer

# A random model seldom says that it is done: a short answer and window keep it quick and small.
# One thread: more would spin, waiting for each other, in a machine's share of a processor.
MODELFILE = "".join(
    f"{line}\\n"
    for line in (
        *("FROM /tiny.gguf", "PARAMETER num_predict 96"),
        *("PARAMETER num_ctx 512", "PARAMETER num_thread 1"),
    )
)


def ollama(binary: Path, models: tuple[str, ...] = tuple(MODELS)) -> Recipe:
    """The language model server with a tiny model under the names of large ones."""
    creates = "\n".join(f"ollama create {name} -f /Modelfile >/dev/null" for name in models)
    layer = Layer(
        "ollama",
        packages=("libstdc++6",),
        copies=(copied("usr/bin/ollama", binary), copied("tiny.gguf", tiny_model())),
        script=f"""
            chmod 755 /usr/bin/ollama
            ollama serve >/server.log 2>&1 &
            curl -fsS --retry 50 --retry-delay 1 --retry-connrefused -o /dev/null \\
                http://127.0.0.1:11434/ 2>/dev/null || {{ cat /server.log; exit 1; }}
            printf '{MODELFILE}' >/Modelfile
            {creates}
            kill $!
            wait $! || true
            rm -rf /tiny.gguf /Modelfile /server.log /root/.ollama/id_* /root/.ollama/history
        """,
        offline=True,
    )
    command = ["serve"]
    return Recipe(
        "ollama",
        layer,
        settings(
            command,
            11434,
            Entrypoint=["/bin/ollama"],
            environment=["OLLAMA_HOST=0.0.0.0:11434"],
        ),
        "ollama --version 2>/dev/null | grep -o '[0-9][0-9.]*' | head -n 1",
    )
