#!/bin/sh
# Install version 1 of a package, and offer version 2, which runs a script, as the only upgrade.
# usage: offer-upgrade.sh SCRIPT
set -eu
script=$1
mkdir -p /srv/repository
cd /srv/repository
for version in 1 2; do
    mkdir -p probe/DEBIAN
    cat >probe/DEBIAN/control <<END
Package: probe
Version: $version
Architecture: all
Maintainer: test
Description: test
END
    if [ $version = 2 ]; then
        printf '#!/bin/sh\n%s\n' "$script" >probe/DEBIAN/postinst
        chmod 755 probe/DEBIAN/postinst
    fi
    dpkg-deb --build probe probe_$version.deb >/dev/null
done
dpkg --install probe_1.deb >/dev/null
{
    cat probe/DEBIAN/control
    echo "Filename: ./probe_2.deb"
    echo "Size: $(stat -c %s probe_2.deb)"
    echo "SHA256: $(sha256sum probe_2.deb | cut -d' ' -f1)"
} >Packages
[ ! -e /etc/apt/sources.list ] || mv /etc/apt/sources.list /etc/apt/sources.list.away
echo 'deb [trusted=yes] file:/srv/repository ./' >/etc/apt/sources.list.d/probe.list
