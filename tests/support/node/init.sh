#!/bin/sh
# The first process of the test node: what a distribution's boot does, then containerd and the kubelet.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
# Each switch between threads is dear on an emulated processor: programs in Go do with half of them, and collect less garbage.
export GOMAXPROCS=1 GOGC=400
at() { mountpoint -q "$2" || mount -t "$1" "$1" "$2"; }
at proc /proc
at sysfs /sys
at devtmpfs /dev
mkdir -p /dev/pts /dev/shm
at devpts /dev/pts
at tmpfs /dev/shm
at tmpfs /run
at tmpfs /tmp
at securityfs /sys/kernel/security
at cgroup2 /sys/fs/cgroup
mount --make-rshared /
# Each denial is wanted, and audit writes to the kernel's log without a daemon.
echo 0 >/proc/sys/kernel/printk_ratelimit
# Processes may not be where controllers are given on.
mkdir -p /sys/fs/cgroup/init
for process in $(cat /sys/fs/cgroup/cgroup.procs); do echo "$process" >/sys/fs/cgroup/init/cgroup.procs; done 2>/dev/null
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control; done
for module in overlay br_netfilter bridge veth virtio_net nf_conntrack xt_conntrack xt_MASQUERADE xt_comment xt_mark; do
    modprobe "$module" || echo "no module $module"
done
echo 1 >/proc/sys/net/ipv4/ip_forward
hostname localhost
ip link set lo up
# The interface is there a moment after its driver.
until ip link set eth0 up; do usleep 100000 2>/dev/null || sleep 0.1; done
ip address add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2

. /payload/environment
# What kube-proxy would do for the one service that pods here use.
for chain in PREROUTING OUTPUT; do
    iptables -t nat -A "$chain" -d 10.0.0.1 -p tcp --dport 443 -j DNAT --to-destination "10.0.2.2:$API_SERVER_PORT"
done
# One rule for all pods, where a plugin would write some for each.
iptables -t nat -A POSTROUTING -s 10.88.0.0/16 ! -d 10.88.0.0/16 -j MASQUERADE
# As apparmor.service does at boot: what is in /etc/apparmor.d is loaded before anything runs.
/usr/lib/apparmor/apparmor.systemd reload
cat /sys/kernel/security/apparmor/profiles >/run/profiles-at-boot

install -d /etc/containerd/certs.d/registry.test /etc/cni/net.d /var/log/node
cp /payload/containerd.toml /etc/containerd/config.toml
cp /payload/hosts.toml /etc/containerd/certs.d/registry.test/
cp /payload/network.conflist /etc/cni/net.d/
# A shell for the test, on a port that is forwarded to loopback.
socat -t 3600 TCP-LISTEN:9999,reuseaddr,fork EXEC:/bin/sh &
forever() { while :; do "$@" >>"/var/log/node/${1##*/}.log" 2>&1; sleep 1; done; }
forever /usr/bin/containerd &
forever /payload/kubelet --kubeconfig=/payload/kubeconfig --config=/payload/kubelet.json --hostname-override=localhost \
    --node-ip=10.0.2.15 --root-dir=/var/lib/kubelet --housekeeping-interval=1m --v=2 &
echo "the node's processes are started"
# Children of those that have ended are collected here.
while :; do wait; sleep 1; done
