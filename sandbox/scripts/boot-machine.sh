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
boot() {
    if [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then
        systemd-nspawn "$@"
        return
    fi
    # Version 2: beside this shell's group, a fresh one at every boot. Nspawn lets the machine have
    # the group's controllers, which it could not with this shell in there, and only once.
    ended=0
    machine=${groups%/*}/machine
    mkdir "$machine"
    sh -euc 'echo $$ >"$0/cgroup.procs"; exec systemd-nspawn "$@"' "$machine" "$@" || ended=$?
    find "$machine" -depth -type d -exec rmdir {} +
    return "$ended"
}
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$disk/upper,workdir=$disk/work" "$disk/root"
# 133 is nspawn's word for "the machine asks for a reboot".
status=133
while [ "$status" = 133 ]; do
    status=0
    boot "$@" -D "$disk/root" || status=$?
done
exit "$status"
