#!/bin/sh
# Ask or tell the node on this machine.
set -eu
home=${CASSANDRA_HOME:-/opt/cassandra}
# It notes in the user's home what was asked.
exec java -Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 @"$home/java.options" -Duser.home=/tmp \
    -Dlogback.configurationFile="$home/tools-logback.xml" -cp "$home/libs/*" \
    org.apache.cassandra.tools.NodeTool --port "${JMX_PORT:-7199}" "$@"
