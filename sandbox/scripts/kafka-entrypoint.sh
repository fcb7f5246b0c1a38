#!/bin/sh
# Start a broker, whose metadata is in ZooKeeper or, with `process.roles`, its own.
# usage: docker-entrypoint.sh PROPERTIES
# KAFKA_HEAP_OPTS and CLUSTER_ID are as in the official image; METRICS_PORT is the exporter's.
set -eu
properties=$1
home=${KAFKA_HOME:-/opt/kafka}
agent=$(echo "$home"/libs/jmx_prometheus_javaagent-*.jar)
data=$(sed -n 's/^log.dirs *= *//p' "$properties")
if grep -q '^process.roles' "$properties" && [ ! -e "$data/meta.properties" ]; then
    "${0%/*}/kafka-storage" format --config "$properties" --cluster-id "$CLUSTER_ID"
fi
# shellcheck disable=SC2086 # options are words
exec java ${JAVA_OPTIONS:--XX:+UseSerialGC -XX:TieredStopAtLevel=1} -XX:+ExitOnOutOfMemoryError \
    ${KAFKA_HEAP_OPTS:--Xms256m -Xmx256m} -Djava.awt.headless=true \
    ${METRICS_PORT:+"-javaagent:$agent=$METRICS_PORT:$home/metrics.yaml"} \
    -Dlog4j.configuration="file:$home/log4j.properties" -cp "$home/libs/*" kafka.Kafka "$properties"
