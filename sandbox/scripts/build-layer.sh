#!/bin/sh
# Run a script in a stack of layers; what it writes lands in UPPER.
# The mounts belong to this process's mount namespace and end with it.
# usage: build-layer.sh LOWER UPPER WORK ROOT online|offline SCRIPT
set -eu
lower=$1 upper=$2 work=$3 root=$4 network=$5 script=$6
authorities=/etc/ssl/certs/ca-certificates.crt
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
if [ "$network" = offline ]; then
    ip link set lo up
else
    # The names that this computer knows, and the authorities that it trusts.
    for file in /etc/resolv.conf "$authorities"; do
        if [ -e "$file" ] && [ -e "$root$file" ]; then
            mount --bind "$file" "$root$file"
        fi
    done
fi
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive \
    PIP_CERT="$authorities" NODE_EXTRA_CA_CERTS="$authorities" \
    ${http_proxy:+http_proxy="$http_proxy"} \
    ${https_proxy:+https_proxy="$https_proxy"} \
    chroot "$root" /bin/sh -euc "$script"
