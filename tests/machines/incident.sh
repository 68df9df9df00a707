# shellcheck shell=bash
# The day for which this CA was made, on real machines: the name server of the CA's host does not know the internal zone, so
# hosts stay on their fallback certificates. Then the pin is added, and they heal by themselves.
set -euo pipefail
here=$(dirname "$0")
. "$here/machine.sh"
. "$here/ca.sh"
. "$here/nixos.sh"

OTHER=192.168.77.22
# The issuer's name on what a host really serves.
served() {
    on ca sh -c "openssl s_client -connect $2:443 -servername $1 </dev/null 2>/dev/null | openssl x509 -noout -issuer" || true
}
is_served_by_the_ca() { case $(served "$@") in *"mgmt.lan Intermediate CA"*) ;; *) return 1 ;; esac; }
order_of() { printf 'acme-order-renew-%s.service' "$1"; }
was_tried_again() { [ "$(of_unit web "$(order_of git.mgmt.lan)" NRestarts)" -ge "$1" ]; }
waits_to_be_started() { [ "$(of_unit web "$(order_of git.mgmt.lan)" SubState)" = auto-restart ]; }
failed_orders() { on ca ca-ctl orders --failed; }
# What was pushed so far, a line each.
pushed() { cat "$(root ca)/var/log/ntfy.log" 2>/dev/null || true; }
# Of those the alerts, without the greeting to a new server.
alerts() { pushed | grep -v "reports here from now on" || true; }
was_told() { alerts | grep -qF "$1"; }

machine ca "$CA"
machine web "$WEB"
machine other "$OTHER"

install_offline ca
# A name server that knows nothing of the zone, like every public one; and a fake ntfy, which notes what it is told.
put ca /etc/systemd/system/names.service <<'END'
[Service]
ExecStart=dnsmasq --keep-in-foreground --no-resolv --no-hosts --listen-address=127.0.0.1 --bind-interfaces --local=/lan/
[Install]
WantedBy=multi-user.target
END
put ca /etc/nginx/conf.d/ntfy.conf <<'END'
log_format message escape=json '{"path":"$request_uri","title":"$http_title","body":"$request_body"}';
server {
    listen 127.0.0.1:8085;
    access_log /var/log/ntfy.log message;
    # A body is read, and so can be noted, when it is passed on.
    location / { proxy_pass http://127.0.0.1:8086; }
}
server {
    listen 127.0.0.1:8086;
    access_log off;
    location / { return 200 '{"id":"m1","time":1,"event":"message","topic":"pki"}'; }
}
END
chroot "$(root ca)" rm /etc/nginx/sites-enabled/default
systemctl --quiet --root="$(root ca)" enable names.service nginx.service acme-ca-plain.socket
chroot "$(root ca)" ca-ctl init --dir /etc/acme-ca --url https://ca.mgmt.lan --permit mgmt.lan >/dev/null 2>&1
rm "$(root ca)/etc/acme-ca/root.key"
# The configuration of that day, but with somebody to tell.
before() {
    cat <<'END'
[probe]
interval = "1m"
[[alerts.sink]]
type  = "ntfy"
url   = "http://127.0.0.1:8085"
topic = "pki"
[resolver]
servers = ["127.0.0.1"]
END
}
after() {
    before
    cat <<'END'
[resolver.pins]
"ca.mgmt.lan"    = ["192.168.77.10"]
"wiki.mgmt.lan"  = ["192.168.77.21"]
"git.mgmt.lan"   = ["192.168.77.21"]
"vault.mgmt.lan" = ["192.168.77.22"]
"chat.mgmt.lan"  = ["192.168.77.22"]
END
}
before | configure ca
for host in web other; do
    echo "$CA ca.mgmt.lan" | append $host /etc/hosts
    put $host /etc/mgmt-lan-root.pem <"$(root ca)/etc/acme-ca/root.pem"
done
acme_host web git.mgmt.lan wiki.mgmt.lan
acme_host other chat.mgmt.lan vault.mgmt.lan
boot ca

case_of "the CA's host does not know the names, and their host stays on its fallback certificates"
boot web
eventually 20 was_tried_again 1
for name in git.mgmt.lan wiki.mgmt.lan; do
    holds "the certificate of $name" "minica root ca" "$(served $name "$WEB")"
    same "acme-$name" active "$(of_unit web "acme-$name.service" ActiveState)"
done
holds "why" "127.0.0.1 answered that the name does not exist (NXDOMAIN)" "$(failed_orders)"

# The orders of one account wait for the first of them, so the CA hears of one name alone.
case_of "one alert says why, and no more while nothing changes"
eventually 120 was_told "git.mgmt.lan"
holds "the cause" "NXDOMAIN" "$(alerts)"
eventually 30 was_tried_again 3
same "how many alerts" 1 "$(alerts | wc -l)"

case_of "what nixos/README.md says of a lost account works on a unit that waits to be started again"
cure=$(sed -n "/^systemctl stop 'acme-ca-order-again@/,/^systemctl clean /p" "$here/../../nixos/README.md" | sed 's/NAME/git.mgmt.lan/g')
holds "the cure" "systemctl clean" "$cure"
eventually 20 waits_to_be_started
on web sh -euc "$cure" || fail "the cure does not work: $cure"
refused on web sh -c 'ls -d /var/lib/acme/.lego/accounts/?*'
on web systemctl --no-block start "$(order_of git.mgmt.lan)" "$(order_of wiki.mgmt.lan)"

case_of "the pin is added, and the host heals without anybody touching it"
after | configure ca
on ca systemctl reload acme-ca.service
for name in git.mgmt.lan wiki.mgmt.lan; do
    eventually 30 is_served_by_the_ca $name "$WEB"
    on ca curl --silent --fail --output /dev/null --cacert /etc/acme-ca/root.pem --resolve "$name:443:$WEB" "https://$name/" ||
        fail "$name does not verify"
    same "the timer, which did not help" "" "$(of_unit web "acme-renew-$name.timer" LastTriggerUSec)"
done

case_of "one all-clear"
eventually 120 was_told "git.mgmt.lan: issued, valid to"
same "how many messages in all" 2 "$(alerts | wc -l)"

case_of "with the pin from the start, nothing ever fails"
boot other
for name in chat.mgmt.lan vault.mgmt.lan; do
    eventually 20 is_served_by_the_ca $name "$OTHER"
    same "how often $name was ordered again" 0 "$(of_unit other "$(order_of $name)" NRestarts)"
done
same "what failed there" "" "$(on other systemctl --failed --quiet list-units)"
refused grep -q "Failed to fetch" <(on other journalctl --no-pager)
refused grep -qE "chat|vault" <(failed_orders)
