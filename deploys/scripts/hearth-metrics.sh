#!/bin/sh
# Writes what this machine tells about itself where node exporter reads it:
#     hearth-metrics HOST
# HOST is the machine's name in the site. HEARTH_ROOT stands before every path, for tests.
set -u
LC_ALL=C
export LC_ALL
host=$1
root=${HEARTH_ROOT-}
folder=$root/var/lib/hearth/metrics

# gauge NAME MEANING SAMPLES: a metric, where it has samples.
gauge() {
    [ -z "$3" ] || printf '# HELP %s %s\n# TYPE %s gauge\n%s\n' "$1" "$2" "$1" "$3"
}

# content FILE: what it says; fails where it cannot be read, as sensors of sleeping parts cannot.
content() {
    [ -r "$1" ] && { tr -d '\0' <"$1"; } 2>/dev/null
}

# A line a container of the site: its service, image, state, and health where it has a check.
# Nothing where Docker is not there or does not answer.
containers() {
    ids=$(timeout 8 docker ps --all --quiet --filter label=hearth.service) || return 0
    [ -z "$ids" ] || timeout 8 docker inspect --format \
        '{{index .Config.Labels "hearth.service"}} {{.Image}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' \
        $ids
}

# SHA-256 of each service's sorted lines of `SHA-256  path`.
digests() {
    for path in "$root"/etc/hearth/services/*/; do
        name=${path%/}
        name=${name##*/}
        case $name in
        # None, and those in which new settings wait to be put in place.
        '*' | *.new | *.old) continue ;;
        esac
        digest=$(cd "$path" && find . -type f -exec sha256sum {} + | sed 's|  \./|  |' |
            sort | sha256sum) || continue
        echo "hearth_settings_digest{service=\"$host.$name\",digest=\"${digest%% *}\"} 1"
    done
}

# Of a Raspberry Pi: its kernel's sensor, else bit 0 of what its firmware says.
undervoltage() {
    for sensor in "$root"/sys/class/hwmon/hwmon*; do
        [ "$(content "$sensor/name")" != rpi_volt ] || { content "$sensor/in0_lcrit_alarm" && return; }
    done
    said=$(timeout 5 vcgencmd get_throttled)
    case $said in
    throttled=0x*) echo $((${said#throttled=} & 1)) ;;
    esac
}

# The folder of a Jetson's GPU, by the names that JetPack 4 to 6 give it.
gpu() {
    for path in "$root"/sys/class/devfreq/*; do
        case $(content "$path/device/of_node/name") in
        gpu | gp10b | gv11b | ga10b) echo "$path" && return ;;
        esac
    done
}

# In thousandths of a degree.
gpu_temperature() {
    for zone in "$root"/sys/class/thermal/thermal_zone*; do
        case $(content "$zone/type") in
        GPU* | gpu*) content "$zone/temp" && return ;;
        esac
    done
}

# In microwatts, by the rail whose name says GPU: millivolts times milliamperes, or JetPack 4's
# milliwatts.
gpu_power() {
    for label in "$root"/sys/class/hwmon/hwmon*/in*_label; do
        case $(content "$label") in
        *GPU*)
            rail=${label##*/in}
            rail=${rail%_label}
            volts=$(content "${label%/*}/in${rail}_input") || continue
            amperes=$(content "${label%/*}/curr${rail}_input") || continue
            echo $((volts * amperes)) && return
            ;;
        esac
    done
    for label in "$root"/sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_*; do
        case $(content "$label") in
        *GPU*)
            watts=$(content "${label%/*}/in_power${label##*_}_input") || continue
            echo $((watts * 1000)) && return
            ;;
        esac
    done
}

# scaled NAME NUMBER DIVISOR: a sample in the unit of its name; nothing where there is no number.
scaled() {
    case $2 in
    '' | *[!0-9]*) ;;
    *) echo "$2" | awk -v name="$1" -v divisor="$3" '{ printf "%s %.10g\n", name, $1 / divisor }' ;;
    esac
}

metrics() {
    found=$(containers)
    gauge hearth_container_healthy 'Whether the health check of a container passes.' "$(
        echo "$found" | awk '$4 != "" && $4 != "none" {
            healthy = $3 == "running" && $4 == "healthy"
            printf "hearth_container_healthy{service=\"%s\"} %d\n", $1, healthy
        }'
    )"
    gauge hearth_container_image 'The image of a container that runs.' "$(
        echo "$found" | awk '$3 == "running" {
            printf "hearth_container_image{service=\"%s\",image=\"%s\"} 1\n", $1, $2
        }'
    )"
    gauge hearth_settings_digest 'SHA-256 over the settings of a service.' "$(digests)"
    gauge hearth_undervoltage 'Whether the supply is too weak.' \
        "$(scaled hearth_undervoltage "$(undervoltage)" 1)"
    gpu=$(gpu)
    gauge jetson_gpu_load_ratio 'Busy share of the GPU.' \
        "$(scaled jetson_gpu_load_ratio "$(content "$gpu/device/load")" 1000)"
    gauge jetson_gpu_frequency_hertz 'Clock of the GPU.' \
        "$(scaled jetson_gpu_frequency_hertz "$(content "$gpu/cur_freq")" 1)"
    gauge jetson_gpu_temperature_celsius 'Temperature of the GPU.' \
        "$(scaled jetson_gpu_temperature_celsius "$(gpu_temperature)" 1000)"
    gauge jetson_gpu_power_watts 'Power that the GPU takes, with what shares its rail.' \
        "$(scaled jetson_gpu_power_watts "$(gpu_power)" 1000000)"
}

# Those of a run that was cut off.
rm -f "$folder"/hearth.prom.*
new=$(mktemp "$folder/hearth.prom.XXXXXX") || exit 1
metrics >"$new" 2>/dev/null
chmod 644 "$new" && mv "$new" "$folder/hearth.prom"
