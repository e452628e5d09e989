#!/bin/bash
# Installs, uses, upgrades, breaks and removes the package on a machine that was booted for it.
# Arguments: the package, and the same program as a newer package. Every line that it prints is one thing shown.
set -euo pipefail

package=$1
newer=$2
socket=/run/hostcompute/hostcompute.sock
export HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin

shown() { echo "shown: $*"; }
fail() {
    echo "FAILED: $*"
    systemctl --no-pager --full status hostcomputed.service hostcomputed.socket || true
    journalctl --no-pager --lines=40 --unit=hostcomputed.service || true
    exit 1
}
# Waits for a condition that another process brings about.
until_true() {
    local what=$1
    shift
    for _ in $(seq 600); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.05
    done
    fail "$what"
}
main_pid() { systemctl show --property=MainPID --value hostcomputed.service; }
replaced() { [ "$(main_pid)" != "$1" ] && [ "$(main_pid)" != 0 ]; }
ask() { curl --silent --show-error --fail --max-time 20 --unix-socket "$socket" "http://localhost$1"; }
as() {
    local user=$1
    shift
    setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"
}

ip link set lo up
# A machine without an uplink has nothing to translate to; one that leads nowhere is enough.
ip link add up0 type veth peer name nowhere
ip address add 192.0.2.1/24 dev up0
ip link set nowhere up
ip link set up0 up
ip route add default via 192.0.2.2
ip -o link | sort >/tmp/links.before
nft list ruleset >/tmp/rules.before

dpkg --install "$package" >/dev/null
[ -S "$socket" ] || fail "the socket is not there after the installation"
[ "$(main_pid)" = 0 ] || fail "the daemon runs before anybody needs it"
shown "installed: the socket waits, the daemon does not run yet"

ask /version >/dev/null || fail "the first client gets no answer"
[ "$(systemctl is-active hostcomputed.service)" = active ] || fail "the daemon is not active"
[ "$(main_pid)" != 0 ] || fail "the daemon has no process"
shown "the first client starts the daemon"

hc up /usr/share/doc/hostcompute/examples/web.json >/dev/null
hc check >/dev/null || fail "hc check finds something"
hc inspect -o json | grep -q '"Sessions"' || fail "hc does not speak to the daemon"
shown "hc up works through the daemon"

cat >/tmp/version.c <<'PROGRAM'
#include <stdio.h>
#include <computenetwork.h>
int main(void)
{
    PWSTR text;
    if (HNSCall(u"GET", u"/globals/version", u"", &text) != 0)
        return 1;
    HostComputeFree(text);
    return 0;
}
PROGRAM
gcc -std=c11 -Wall -Werror /tmp/version.c -o /tmp/version $(pkg-config --cflags --libs computenetwork) || fail "a C program does not compile"
/tmp/version || fail "a C program gets no answer"
python3 /usr/share/doc/hostcompute/examples/network.py | grep -q ok || fail "the example in Python fails"
shown "programs in C and Python use the libraries"

useradd --system --user-group hc-operator --groups hostcompute
useradd --system --user-group hc-stranger
as hc-operator hc network ls -o id | grep -q . || fail "a member of the group sees nothing"
as hc-operator hc network create - <<<'{"Name":"mine","Type":"NAT"}' >/dev/null || fail "a member of the group may not create"
as hc-operator hc network delete mine || fail "a member of the group may not delete"
code=0
as hc-stranger hc --socket "$socket" network ls 2>/tmp/refusal || code=$?
[ "$code" = 4 ] && grep -q 80070005 /tmp/refusal || fail "a stranger is not refused with 0x80070005: exit $code, $(cat /tmp/refusal)"
shown "the group manages, strangers get 0x80070005"

# One connection through the load balancer that lasts through everything that follows.
place() { nsenter --net="/run/hostcompute/netns/$(hc namespace show "$1" -o id)" -- "${@:2}"; }
serve='
import socket
server = socket.create_server(("0.0.0.0", 8000))
while True:
    peer, _ = server.accept()
    while True:
        data = peer.recv(100)
        if not data: break
        peer.sendall(data)
'
for app in app-1 app-2; do
    place "$app" python3 -c "$serve" &
done
talk='
import socket, sys, time
for attempt in range(200):
    try:
        peer = socket.create_connection(("10.96.0.10", 80), 5); break
    except OSError: time.sleep(0.05)
peer.settimeout(5)
n = 0
while True:
    peer.sendall(b"x")
    if peer.recv(1) != b"x": sys.exit("the connection broke")
    n += 1
    open("/tmp/talk.new", "w").write(str(n)); import os; os.rename("/tmp/talk.new", "/tmp/talk")
    time.sleep(0.01)
'
place front python3 -c "$talk" &
talker=$!
heard() { [ "$(cat /tmp/talk 2>/dev/null || echo 0)" -gt "$1" ]; }
goes_on() {
    local now
    now=$(cat /tmp/talk)
    kill -0 "$talker" 2>/dev/null || fail "the connection broke: $1"
    until_true "the connection stands still: $1" heard "$now"
}
until_true "nobody answers behind the load balancer" heard 10
shown "a connection through the load balancer"

[ "$(hc run --host-root -- echo hello)" = hello ] || fail "hc run says nothing"
code=0
hc run --host-root -- sh -c 'exit 42' || code=$?
[ "$code" = 42 ] || fail "the exit code of a container is lost: $code"
hc run --detach --name resident --host-root -- sleep 100000 >/dev/null
lives() { [ "$(hc exec resident -- echo here)" = here ] || fail "the container is gone: $1"; }
lives "after its start"
systemctl list-units --no-legend 'hostcompute-supervisor@*' | grep -q running || fail "the container has no unit of its own"
shown "containers, under units of their own"

before=$(main_pid)
systemctl restart hostcomputed.service
replaced "$before" || fail "restart left the old process"
ask /networks >/dev/null
goes_on "restart"
lives "restart"
hc check >/dev/null || fail "hc check finds something after a restart"
shown "restart: the connection carries on, nothing to repair"

before=$(main_pid)
dpkg --install "$newer" >/dev/null 2>&1
replaced "$before" || fail "the upgrade left the old process"
goes_on "upgrade"
lives "upgrade"
hc check >/dev/null || fail "hc check finds something after an upgrade"
shown "upgrade in place: the connection carries on"

before=$(main_pid)
kill -KILL "$before"
ask /networks >/dev/null || fail "a client finds nobody after kill -9"
until_true "kill -9: no new daemon" replaced "$before"
goes_on "kill -9"
lives "kill -9"
hc check >/dev/null || fail "hc check finds something after kill -9"
shown "kill -9: the next client is answered, nothing to repair"

mkdir -p /run/systemd/system/hostcomputed.service.d
printf '[Service]\nWatchdogSec=1\n' >/run/systemd/system/hostcomputed.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart hostcomputed.service
before=$(main_pid)
kill -STOP "$before"
until_true "the watchdog does not notice a daemon that hangs" replaced "$before"
ask /networks >/dev/null || fail "no answer after the watchdog"
goes_on "watchdog"
shown "watchdog: a daemon that hangs is replaced, the connection carries on"

rm /run/systemd/system/hostcomputed.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart hostcomputed.service

systemd-analyze --no-pager security hostcomputed.service 2>/dev/null | tail -1 | sed 's/^/exposure: /' || true

hc system terminate resident
[ -z "$(hc ps -o id)" ] || fail "a container is left"
kill "$talker"
pkill --full create_server || true
wait || true
hc down /usr/share/doc/hostcompute/examples/web.json >/dev/null
hc check >/dev/null || fail "hc check finds something after hc down"
dpkg --remove hostcompute >/dev/null
[ ! -e "$socket" ] || fail "the socket stays after the removal"
[ "$(systemctl is-active hostcomputed.service)" != active ] || fail "the daemon stays after the removal"
# What the daemon had ready for its next clients goes with it; the kernel takes a moment to take it apart.
as_before() { ip -o link | sort | cmp -s /tmp/links.before -; }
until_true "links are left: $(ip -o link | sort | diff /tmp/links.before - || true)" as_before
nft list ruleset | diff /tmp/rules.before - || fail "rules are left"
[ -d /var/lib/hostcompute ] || fail "removal is not purging: the state should stay"
dpkg --purge hostcompute >/dev/null
[ ! -e /var/lib/hostcompute ] && [ ! -e /etc/hostcompute ] || fail "purging leaves something"
shown "removed and purged: links and rules as before"
