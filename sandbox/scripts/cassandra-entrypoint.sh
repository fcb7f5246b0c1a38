#!/bin/sh
# Start a node.
# usage: docker-entrypoint.sh CASSANDRA_YAML
# MAX_HEAP_SIZE and JVM_EXTRA_OPTS are as in the official image; METRICS_PORT is the exporter's,
# JMX_PORT is on loopback, for nodetool.
set -eu
home=${CASSANDRA_HOME:-/opt/cassandra}
heap=${MAX_HEAP_SIZE:-384M}
memory=$(echo "$home"/libs/jamm-*.jar)
agent=$(echo "$home"/libs/jmx_prometheus_javaagent-*.jar)
# shellcheck disable=SC2086 # options are words
exec java ${JAVA_OPTIONS:--XX:+UseSerialGC -XX:TieredStopAtLevel=1} -XX:+ExitOnOutOfMemoryError \
    -Xms"$heap" -Xmx"$heap" @"$home/java.options" -javaagent:"$memory" \
    ${METRICS_PORT:+"-javaagent:$agent=$METRICS_PORT:$home/metrics.yaml"} \
    -Dlogback.configurationFile="$home/logback.xml" -Dcassandra.config="file://$1" \
    -Dcassandra.jmx.local.port="${JMX_PORT:-7199}" -Dcassandra-foreground=yes ${JVM_EXTRA_OPTS:-} \
    -cp "$home/libs/*" org.apache.cassandra.service.CassandraDaemon
