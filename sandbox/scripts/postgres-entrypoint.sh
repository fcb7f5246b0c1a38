#!/bin/sh
# Make the database at the first start, then serve it: the official image's contract in short.
set -eu
as_postgres() {
    setpriv --reuid=postgres --regid=postgres --init-groups "$@"
}
if [ "$#" = 0 ] || [ "${1#-}" != "$1" ]; then
    set -- postgres "$@"
fi
[ "$1" = postgres ] || exec "$@"
user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}
mkdir -p "$PGDATA" /run/postgresql
chown postgres:postgres "$PGDATA" /run/postgresql
chmod 700 "$PGDATA"
# Made in a folder within and moved up, PG_VERSION last: a container killed in the middle starts
# over, and one that has PG_VERSION is whole.
new=$PGDATA/.new
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
        POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
    fi
    if [ -z "${POSTGRES_PASSWORD:-}" ]; then
        echo "postgres: no password; set POSTGRES_PASSWORD_FILE" >&2
        exit 1
    fi
    if [ -e "$new" ]; then
        find "$PGDATA" -mindepth 1 -delete
    fi
    secret=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$secret"
    chown postgres "$secret"
    as_postgres initdb -D "$new" -U "$user" --pwfile="$secret" --auth=scram-sha-256 \
        --auth-local=trust --encoding=UTF8
    rm -f "$secret"
    echo "host all all all scram-sha-256" >>"$new/pg_hba.conf"
    sed -i "s/^#listen_addresses = .*/listen_addresses = '*'/" "$new/postgresql.conf"
    if [ "$database" != postgres ]; then
        printf 'CREATE DATABASE "%s";\n' "$database" |
            as_postgres postgres --single -D "$new" postgres >/dev/null
    fi
    mv "$new/PG_VERSION" "$new/.version"
    find "$new" -mindepth 1 -maxdepth 1 ! -name .version -exec mv -t "$PGDATA" {} +
    mv "$new/.version" "$PGDATA/PG_VERSION"
    rmdir "$new"
fi
unset POSTGRES_PASSWORD
exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"
