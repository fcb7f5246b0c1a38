"""PostgreSQL with its roles and tables, and what tells Prometheus about it."""

from __future__ import annotations

import json

import pulumi

from components.homelab.service import Extras, Service, ServiceArgs
from inventory.services import DATABASE, SETTINGS
from inventory.units import MIB
from services.assistant.migrate import script as migrations
from templates import render

READER = "dashboards"
BACKUP = "backup"
MAX_CONNECTIONS = 60


class Postgres(Service):
    """The lab's memory: users, conversations, images, usage."""

    def __init__(
        self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args, opts)
        roles = [role for role in args.placement.kind.accounts if role != "owner"]
        self.run_inside("schema", args, roles, schema_script)

    def extras(self, args: ServiceArgs) -> Extras:
        """The owner's password, and a configuration by the memory that it has."""
        return Extras(
            files={
                "owner": args.secrets.password(args.placement, "owner"),
                "postgresql.conf": render(
                    "postgres/postgresql.conf.j2",
                    memory_mib=args.placement.memory_bytes // MIB,
                    max_connections=MAX_CONNECTIONS,
                ),
            }
        )


class PostgresExporter(Service):
    """Figures of the PostgreSQL beside it."""

    def extras(self, args: ServiceArgs) -> Extras:
        """Where PostgreSQL is; it logs in as a role that sees figures only."""
        return Extras(
            files={"password": args.password("postgres", "monitor")},
            environment={
                "DATA_SOURCE_URI": f"{args.endpoint('postgres')}/{DATABASE}?sslmode=disable",
                "DATA_SOURCE_USER": "monitor",
                "DATA_SOURCE_PASS_FILE": f"{SETTINGS}/password",
            },
        )


class PgAdmin(Service):
    """A page that shows what is in the PostgreSQL beside it, to who has its account.

    It logs in as the role that may only read; whoever needs more gives another role's password.
    """

    def extras(self, args: ServiceArgs) -> Extras:
        """The account's password, the server, and the role's password in a file of libpq's."""
        endpoint = args.endpoint("postgres") or ""
        return Extras(
            files={
                "admin": args.secrets.password(args.placement, "admin"),
                "servers.json": pgadmin_servers(endpoint),
                "pgpass": args.password("postgres", READER).apply(
                    lambda password: f"{endpoint}:*:{READER}:{password}\n"
                ),
            }
        )


def pgadmin_servers(endpoint: str) -> str:
    """The text of pgAdmin's servers.json.

    Args:
        endpoint: PostgreSQL's `name:port`.
    """
    host, _, port = endpoint.partition(":")
    server = {
        "Name": "lab",
        "Group": "Servers",
        "Host": host,
        "Port": int(port),
        "MaintenanceDB": DATABASE,
        "Username": READER,
        # Under the account's own folder, where pgAdmin's entrypoint copies it.
        "ConnectionParameters": {"sslmode": "prefer", "passfile": "/.pgpass"},
    }
    return json.dumps({"Servers": {"1": server}}, indent=2)


def schema_script(container: str, passwords: dict[str, str]) -> str:
    """Shell that gives the roles their passwords, then makes what the migrations make.

    Args:
        container: PostgreSQL's.
        passwords: by role; of letters, digits, `-` and `_`.
    """
    roles = [_role(role, password) for role, password in sorted(passwords.items())]
    statements = "\n".join(
        [
            # Passwords stay out of the server's log.
            "SET log_statement = 'none'; SET log_min_duration_statement = -1;",
            "SET log_min_error_statement = 'panic';",
            *roles,
            "GRANT pg_monitor TO monitor;",
            f"GRANT pg_read_all_data TO {BACKUP};",
            "CREATE EXTENSION IF NOT EXISTS pg_stat_statements;",
            f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC;",
            f"GRANT CONNECT ON DATABASE {DATABASE} TO {', '.join(sorted(passwords))};",
            migrations(),
        ]
    )
    psql = f"psql -v ON_ERROR_STOP=1 -qXAt -U {DATABASE} -d {DATABASE}"
    return (
        f"docker exec -i {container} {psql} >/dev/null <<'end-of-sql'\n{statements}\nend-of-sql\n"
    )


def _role(role: str, password: str) -> str:
    """Makes a role where it is not there, and gives it its password."""
    missing = f"WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}')"
    make = f"SELECT 'CREATE ROLE {role}' {missing} \\gexec"
    return f"{make}\nALTER ROLE {role} LOGIN PASSWORD '{password}';"
