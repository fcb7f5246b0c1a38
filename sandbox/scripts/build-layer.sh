#!/bin/sh
# Run a script in a stack of layers; what it writes lands in UPPER.
# The mounts belong to this process's mount namespace and end with it.
# usage: build-layer.sh LOWER UPPER WORK ROOT online|offline SCRIPT
set -eu
lower=$1 upper=$2 work=$3 root=$4 network=$5 script=$6
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
if [ "$network" = offline ]; then
    ip link set lo up
elif [ -e /etc/resolv.conf ]; then
    mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
fi
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive ${http_proxy:+http_proxy="$http_proxy"} \
    ${https_proxy:+https_proxy="$https_proxy"} \
    chroot "$root" /bin/sh -euc "$script"
