#!/bin/sh
# Boot a machine in a mount namespace of its own, in the groups given, until it powers off.
# usage: boot-machine.sh LOWER DISK GROUPS -- NSPAWN-OPTIONS   (GROUPS separated by ":")
set -eu
lower=$1 disk=$2 groups=$3
shift 4
IFS=:
for group in $groups; do
    echo $$ >"$group/cgroup.procs"
done
unset IFS
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$disk/upper,workdir=$disk/work" "$disk/root"
# 133 is nspawn's word for "the machine asks for a reboot".
status=133
while [ "$status" = 133 ]; do
    status=0
    systemd-nspawn "$@" -D "$disk/root" || status=$?
done
exit "$status"
