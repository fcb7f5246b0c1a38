#!/bin/sh
# `minio` may be left out of the command: the official image's contract in short.
set -eu
if [ "$#" = 0 ] || [ "$1" != minio ]; then
    set -- minio "$@"
fi
exec "$@"
