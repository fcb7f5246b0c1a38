"""JupyterHub: notebooks beside the models of their machine."""

from __future__ import annotations

from components.homelab.service import Extras, Service, ServiceArgs
from inventory.services import SETTINGS
from templates import render

ACCOUNT = "admin"


class JupyterHub(Service):
    """Notebooks for whoever has its account; they outlive the container."""

    def extras(self, args: ServiceArgs) -> Extras:
        """The account's password, and a configuration that names the Ollama beside it."""
        port = args.placement.kind.ports[args.placement.first_port]
        return Extras(
            files={
                ACCOUNT: args.secrets.password(args.placement, ACCOUNT),
                "jupyterhub_config.py": jupyterhub_config(port, args.endpoint("ollama")),
            }
        )


def jupyterhub_config(port: int, ollama: str | None) -> str:
    """The text of jupyterhub_config.py.

    Args:
        port: the one that it listens on inside its container.
        ollama: `name:port` of the Ollama that notebooks talk to; None without one.
    """
    return render(
        "jupyterhub/jupyterhub_config.py.j2",
        port=port,
        account=ACCOUNT,
        password_file=f"{SETTINGS}/{ACCOUNT}",
        # What Ollama's own client reads.
        environment={"OLLAMA_HOST": f"http://{ollama}"} if ollama else {},
    )
