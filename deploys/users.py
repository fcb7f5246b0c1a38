"""The administrator that runs the lab: key only, sudo without a password, may use Docker."""

from __future__ import annotations

from pyinfra.api import deploy
from pyinfra.operations import server

from deploys.files import config_file


@deploy("Administrator")
def administrator(user: str, public_key: str) -> None:
    """Makes the user, admits the key and nothing else, lets it use sudo and Docker."""
    # Docker's own package makes the same system group; it has to be there first.
    server.group(name="Group docker", group="docker", system=True)
    server.user(  # noqa: S604 - the login shell, not a shell to run in
        name=f"User {user}",
        user=user,
        groups=["docker"],
        append=True,
        shell="/bin/bash",
        create_home=True,
    )
    server.user_authorized_keys(
        name=f"Key of {user}",
        user=user,
        public_keys=[public_key],
        delete_keys=True,
    )
    config_file(
        f"sudo for {user}",
        f"/etc/sudoers.d/{user}",
        f"{user} ALL=(ALL) NOPASSWD: ALL\n",
        mode="440",
        validate="visudo -qcf {}",
    )
