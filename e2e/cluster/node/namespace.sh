#!/bin/sh
# The first process of a cluster's own mount, network and process namespaces: it builds a private view of the machine
# and becomes the reaper. When it ends, the kernel ends everything in the namespaces and removes all that is made here.
#
# usage: namespace.sh STATE_FOLDER IMAGES_FOLDER REAPER NODE_ADDRESS PREFIX_LENGTH CLUSTER_DOMAIN
set -eu
state=$1 images=$2 reaper=$3 address=$4 prefix=$5 domain=$6

# Mounts of the host arrive here, those made here stay here (the caller chose "slave"); among us they are shared.
mount --make-rshared /

# The programs may write to their customary folders; the host's stay as they are.
for folder in /etc /var/lib /var/log; do
  mkdir -p "$state/view$folder/upper" "$state/view$folder/work"
  mount -t overlay -o "lowerdir=$folder,upperdir=$state/view$folder/upper,workdir=$state/view$folder/work" overlay "$folder"
done
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/lock

# Overlays do not stack well, so what holds containers and volumes is on the disk itself.
disk() {
  mkdir -p "$1" "$2"
  mount --bind "$1" "$2"
}
disk "$images" /var/lib/containerd
disk "$state/kubelet" /var/lib/kubelet

# The kubelet insists on these values and would set them for the whole machine. It finds them set already.
mkdir /run/kernel
fixed() {
  name=$(echo "$1" | tr / .)
  echo "$2" > "/run/kernel/$name"
  mount --bind "/run/kernel/$name" "/proc/sys/$1"
}
fixed vm/overcommit_memory 1
fixed vm/panic_on_oom 0
fixed kernel/panic 10
fixed kernel/panic_on_oops 1
fixed kernel/keys/root_maxkeys 1000000
fixed kernel/keys/root_maxbytes 25000000

# A default route, so that Service addresses have one; it leads nowhere else.
ip link set lo up
ip link add node0 type bridge
ip address add "$address/$prefix" dev node0
ip link set node0 up
ip route add default dev node0
echo 1 > /proc/sys/net/ipv4/ip_forward

rm -f /etc/resolv.conf
printf 'nameserver %s\nsearch svc.%s %s\noptions ndots:5\n' "$address" "$domain" "$domain" > /etc/resolv.conf

: > "$state/namespace.ready"
exec "$reaper"
