#!/bin/sh
# Serve the images in STORAGE, read-only, in the groups given.
# usage: serve-registry.sh LOWER ROOT STORAGE GROUPS ADDRESS:PORT   (GROUPS separated by ":")
set -eu
lower=$1 root=$2 storage=$3 groups=$4 address=$5
IFS=:
for group in $groups; do
    echo $$ >"$group/cgroup.procs"
done
unset IFS
mount -t overlay overlay -o "lowerdir=$lower" "$root"
mount --bind "$storage" "$root/srv"
mount -o remount,ro,bind "$root/srv"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ REGISTRY_HTTP_ADDR="$address" \
    chroot "$root" docker-registry serve /etc/hearth-registry.yml
