#!/bin/sh
# Start a ZooKeeper.
# usage: docker-entrypoint.sh CONFIGURATION
# ZK_SERVER_HEAP (in MB) is as in the official image.
set -eu
home=${ZOOKEEPER_HOME:-/opt/zookeeper}
# shellcheck disable=SC2086 # options are words
exec java ${JAVA_OPTIONS:--XX:+UseSerialGC -XX:TieredStopAtLevel=1} -XX:+ExitOnOutOfMemoryError \
    -Xms64m -Xmx"${ZK_SERVER_HEAP:-128}m" -Djava.awt.headless=true \
    -Dlogback.configurationFile="$home/logback.xml" -cp "$home/libs/*" \
    org.apache.zookeeper.server.quorum.QuorumPeerMain "$1"
