"""The provider's resources, as a Pulumi program declares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from provider.tokens import FILES, PACKAGE, SCRIPT


class Hosts(pulumi.ProviderResource):
    """The provider: machines by their ssh names."""

    def __init__(
        self, name: str, ssh_config: str, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declares it.

        Args:
            name: the resource's.
            ssh_config: the file that tells ssh how to reach the machines.
            opts: Pulumi's.
        """
        super().__init__(PACKAGE, name, {"sshConfig": ssh_config}, opts)


class Files(pulumi.CustomResource):
    """A folder on a machine with exactly these files, readable by root alone on the machine.

    A container that has the folder mounted sees them all the same, whatever its user. Somebody
    who changes a file by hand is noticed by a refresh.
    """

    digest: pulumi.Output[str]
    """Changes when a file does: SHA-256, hexadecimal; known in a preview."""
    digests: pulumi.Output[Mapping[str, str]]
    """Of each file as it lies there, by path."""

    def __init__(  # noqa: PLR0913 - what it is, where, and what reads it
        self,
        name: str,
        *,
        host: str,
        folder: str,
        files: Mapping[str, pulumi.Input[str]],
        reload: str = "",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declares them.

        Args:
            name: the resource's.
            host: the machine's ssh name.
            folder: absolute; it belongs to this resource alone.
            files: text by path under the folder; make one that holds a secret a secret output.
            reload: shell that has changed files read; where it fails, the old ones are back.
            opts: Pulumi's.
        """
        inputs = {"host": host, "folder": folder, "files": dict(files), "reload": reload}
        super().__init__(FILES, name, {**inputs, "digest": None, "digests": None}, opts)


class Script(pulumi.CustomResource):
    """Shell that runs on a machine when it is new and when it or a trigger changes.

    It has to bear being run again: a run that was cut off is repeated. With `when_new=False` it
    runs when a trigger changes, and then alone.
    """

    digest: pulumi.Output[str]
    """Changes when it runs again: SHA-256, hexadecimal; known in a preview."""

    def __init__(  # noqa: PLR0913 - what it is, where, and when it runs
        self,
        name: str,
        *,
        host: str,
        script: pulumi.Input[str],
        triggers: Sequence[pulumi.Input[str]] = (),
        when_new: bool = True,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declares it.

        Args:
            name: the resource's.
            host: the machine's ssh name.
            script: what the machine's sh reads from its standard input, as root; make it a secret
                output when it holds one.
            triggers: values that make it run again when they change.
            when_new: whether it runs when it is declared for the first time.
            opts: Pulumi's.
        """
        inputs = {"host": host, "script": script, "triggers": list(triggers)}
        # Said only where it is so: what was declared before there was a choice has not changed.
        choice = {} if when_new else {"whenNew": False}
        super().__init__(SCRIPT, name, {**inputs, **choice, "digest": None}, opts)
