# Becomes PID 1 of a host of its own: a real systemd in its own namespaces. Nothing that runs in here can write
# outside of it: the root is read-only, what has to be written lies in memory, and kernel settings are read-only.
set -euo pipefail
files=$1

mount -t tmpfs tmpfs /run
mkdir -p /run/host /run/lock /run/openvpn /run/openvpn-server /run/dbus /run/systemd/system
mount --bind "$files" /run/host
cp -a /etc /run/etc
mount -o remount,bind,ro /
mount --bind /run/etc /etc
for dir in /tmp /dev/shm /var/tmp /var/log /var/lib/systemd /var/spool /mnt /usr/local/bin; do
  mount -t tmpfs tmpfs "$dir"
done
# Units start because they are told to, and not because this machine wants them.
for dir in /usr/lib/systemd/system/*.wants; do
  mount -t tmpfs -o ro tmpfs "$dir"
done
rm -rf /etc/systemd/system/*.wants
for unit in remount-fs tmpfiles-setup tmpfiles-clean tmpfiles-setup-dev sysctl modules-load random-seed udevd; do
  ln -s /dev/null "/run/systemd/system/systemd-$unit.service"
done
if touch /usr/writable 2>/dev/null || [ -n "$(ls -A /tmp)" ]; then
  echo "not isolated: this would change the machine" >&2
  exit 1
fi

mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /sys/fs/cgroup
mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/unified
mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
ip link set lo up

rm -rf /etc/wireguard /etc/openvpn /etc/squid /etc/mect
cp -a /run/host/etc/. /etc/
chmod 700 /etc/wireguard
chown -R root:root /etc/wireguard /etc/openvpn /etc/squid /etc/mect
install -d -o proxy -g proxy /var/log/squid /var/spool/squid
echo 'mect-exporter:x:970:970::/nonexistent:/usr/sbin/nologin' >> /etc/passwd
echo 'mect-exporter:x:970:' >> /etc/group
install -m 755 /run/host/mect-exporter /usr/local/bin/

exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/lib/systemd/systemd --system --unit=dbus.socket
