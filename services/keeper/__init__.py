"""Backups of the lab: PostgreSQL, the object store, and what people made in Grafana.

    snapshot     what a backup is: its manifest, and whether its files are what it says
    store        the folder that holds the backups, each whole or not there
    retention    which backups stay
    postgres, objects, grafana
                 how each part is read, and put back where this program may
    run          a backup from its start to its copy on another machine
    archive      a backup as one tar, out and in
    serve        when backups are made, and what Prometheus is told

KeeperError      something cannot be done; says where, what, and what to do
  Unreachable    a service does not answer
"""
