#!/bin/sh
# Make the settings' database at the first start, then serve: the official image's contract in
# short.
set -eu
folder=/opt/packages/pgadmin4
if [ ! -s /var/lib/pgadmin/pgadmin4.db ]; then
    if [ -n "${PGADMIN_DEFAULT_PASSWORD_FILE:-}" ]; then
        PGADMIN_DEFAULT_PASSWORD=$(cat "$PGADMIN_DEFAULT_PASSWORD_FILE")
    fi
    if [ -z "${PGADMIN_DEFAULT_EMAIL:-}" ] || [ -z "${PGADMIN_DEFAULT_PASSWORD:-}" ]; then
        echo "pgadmin: no account; set PGADMIN_DEFAULT_EMAIL and PGADMIN_DEFAULT_PASSWORD_FILE" >&2
        exit 1
    fi
    PGADMIN_SETUP_EMAIL=$PGADMIN_DEFAULT_EMAIL PGADMIN_SETUP_PASSWORD=$PGADMIN_DEFAULT_PASSWORD \
        python3 "$folder/setup.py" setup-db
    if [ -n "${PGADMIN_SERVER_JSON_FILE:-}" ]; then
        python3 "$folder/setup.py" load-servers "$PGADMIN_SERVER_JSON_FILE" \
            --user "$PGADMIN_DEFAULT_EMAIL"
    fi
    if [ -n "${PGPASS_FILE:-}" ]; then
        own=/var/lib/pgadmin/storage/$(printf %s "$PGADMIN_DEFAULT_EMAIL" | tr @ _)
        mkdir -p "$own"
        install -m 600 "$PGPASS_FILE" "$own/.pgpass"
    fi
fi
unset PGADMIN_DEFAULT_PASSWORD
# One worker: sessions and connections are kept in its memory.
exec python3 -m gunicorn --chdir "$folder" --workers 1 --threads "${GUNICORN_THREADS:-25}" \
    --bind "${PGADMIN_LISTEN_ADDRESS:-0.0.0.0}:${PGADMIN_LISTEN_PORT:-5050}" \
    --access-logfile "${GUNICORN_ACCESS_LOGFILE:--}" pgAdmin4:app
