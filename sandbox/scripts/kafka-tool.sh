#!/bin/sh
# Run one of Kafka's tools: the one by whose name this is called.
set -eu
case ${0##*/} in
kafka-storage) class=kafka.tools.StorageTool ;;
kafka-topics) class=org.apache.kafka.tools.TopicCommand ;;
kafka-consumer-groups) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
*)
    echo "${0##*/}: no such tool of Kafka's here; the others are classes in its jars" >&2
    exit 2
    ;;
esac
home=${KAFKA_HOME:-/opt/kafka}
exec java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -Dlog4j.configuration="file:$home/tools-log4j.properties" -cp "$home/libs/*" "$class" "$@"
