# shellcheck shell=bash
# The server as the package installs it: its sandbox, its credentials, its sockets, and what happens when it hangs, dies, is
# configured badly, boots without its key, is upgraded, removed and purged.
set -euo pipefail
here=$(dirname "$0")
. "$here/machine.sh"
. "$here/ca.sh"

RUNTIME=/run/credentials/acme-ca.service
main_pid() { of_unit ca acme-ca.service MainPID; }
serves() { on web curl --silent --fail --output /dev/null --max-time 5 --cacert /root/root.pem "$DIRECTORY"; }
# Another server process than the one that was, and ready.
is_another_than() { [ "$(main_pid)" != "$1" ] && [ "$(of_unit ca acme-ca.service SubState)" = running ]; }
is_another_and_serves() { is_another_than "$1" && serves; }
status_has() { case $(of_unit ca acme-ca.service StatusText) in *"$1"*) ;; *) return 1 ;; esac; }
has_failed_once() { [ "$(of_unit ca acme-ca.service NRestarts)" -ge 1 ]; }
# A certificate from the second machine, by Debian's lego; verified against the root alone.
order() {
    on web env LEGO_CA_CERTIFICATES=/root/root.pem timeout 60 lego --accept-tos --email ops@mgmt.lan --path /root/lego \
        --server "$DIRECTORY" --key-type ec256 --http --domains "$1" run >/dev/null 2>"$work/lego" ||
        fail "lego: $(cat "$work/lego")"
    local files=/root/lego/certificates/$1
    on web openssl verify -CAfile /root/root.pem -untrusted "$files.issuer.crt" "$files.crt" >/dev/null
}
# Nobody answers there, and nobody is asked.
pins() {
    cat <<'END'
[resolver]
servers = ["127.0.0.1"]
[resolver.pins]
"ca.mgmt.lan" = ["192.168.77.10"]
"*.mgmt.lan"  = ["192.168.77.21"]
END
}

machine ca "$CA"
machine web "$WEB"
echo "$CA ca.mgmt.lan" | append web /etc/hosts
put ca /root/acme-ca.deb <"$PACKAGE"
boot ca
boot web

case_of "the package installs, and waits for a configuration"
on ca dpkg --install /root/acme-ca.deb >/dev/null 2>&1
same "the service" inactive "$(of_unit ca acme-ca.service ActiveState)"
same "its condition" no "$(of_unit ca acme-ca.service ConditionResult)"
same "the socket" inactive "$(of_unit ca acme-ca.socket ActiveState)"
for unit in acme-ca.service acme-ca.socket; do same "$unit" enabled "$(of_unit ca $unit UnitFileState)"; done
same "the other socket" disabled "$(of_unit ca acme-ca-plain.socket UnitFileState)"
same "the directory" "750 root acme-ca" "$(on ca stat --format '%a %U %G' /etc/acme-ca)"
same "what failed" "" "$(on ca systemctl --failed --quiet list-units)"

case_of "systemd finds nothing wrong with the units, and little to be exposed"
same "what it says" "" "$(on ca systemd-analyze verify --man=no acme-ca.service acme-ca.socket acme-ca-plain.socket 2>&1)"
on ca systemd-analyze security --offline=yes --threshold=15 --no-pager acme-ca.service >/dev/null ||
    fail "the exposure is above 1.5"

case_of "the server starts in its whole sandbox, with key and passphrase as credentials"
on ca sh -euc '
    cd /etc/acme-ca
    (umask 077; openssl rand -base64 32 >/etc/credstore/acme-ca.intermediate.pass; openssl rand -base64 32 >/root/root.pass)
    ca-ctl root create --dir /root/ca --name "mgmt.lan Root CA" --permit mgmt.lan --passphrase-file /root/root.pass
    ca-ctl intermediate request --dir . --name "mgmt.lan Intermediate CA" --passphrase-file /etc/credstore/acme-ca.intermediate.pass
    ca-ctl root sign --dir /root/ca --csr intermediate.csr --out /root/intermediate.pem --passphrase-file /root/root.pass
    ca-ctl intermediate install --dir . --certificate /root/intermediate.pem --root /root/ca/root.pem --passphrase-file /etc/credstore/acme-ca.intermediate.pass
' >/dev/null
put web /root/root.pem <"$(root ca)/etc/acme-ca/root.pem"
pins | configure ca "passphrase_file = \"$RUNTIME/intermediate.pass\""
on ca systemctl enable --quiet --now acme-ca-plain.socket
on ca systemctl start acme-ca.socket acme-ca.service
same "its state" "active running" "$(of_unit ca acme-ca.service ActiveState) $(of_unit ca acme-ca.service SubState)"
same "what it says" "serving $DIRECTORY" "$(of_unit ca acme-ca.service StatusText)"
serves || fail "it does not serve"
same "what check-config says" "/etc/acme-ca/acme-ca.toml: good" \
    "$(on ca acme-ca check-config --config /etc/acme-ca/acme-ca.toml 2>&1)"
refused grep WARN <(on ca journalctl --no-pager --unit=acme-ca.service)

case_of "it runs without root's rights, in namespaces of its own, and reads what it needs"
pid=$(main_pid)
status=$(on ca cat "/proc/$pid/status")
for line in CapInh CapPrm CapEff CapBnd CapAmb; do holds "its status" "$line:	0000000000000000" "$status"; done
holds "its status" "NoNewPrivs:	1" "$status"
holds "its status" "Seccomp:	2" "$status"
same "its user" acme-ca "$(on ca stat --format %U "/proc/$pid")"
for kind in mnt user ipc uts; do
    [ "$(on ca readlink "/proc/$pid/ns/$kind")" != "$(on ca readlink "/proc/1/ns/$kind")" ] ||
        fail "its $kind namespace is that of all"
done
inside() { on ca nsenter --target "$pid" --mount "$@"; }
for place in /etc /etc/acme-ca /usr/bin /var /srv; do refused inside touch "$place/mark"; done
same "what it sees in /home and /root" "" "$(inside sh -c 'ls /home/* /root/* 2>/dev/null' || true)"
same "its state" "700 acme-ca" "$(on ca stat --format '%a %U' /var/lib/acme-ca)"
on ca test -s /var/lib/acme-ca/ca.db

case_of "the key is read by nobody else"
same "the file" "600 root" "$(on ca stat --format '%a %U' /etc/acme-ca/intermediate.key)"
as() { on ca setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"; }
for file in /etc/acme-ca/intermediate.key "$RUNTIME/intermediate.key" "$RUNTIME/intermediate.pass"; do
    on ca test -s "$file"
    refused as nobody cat "$file"
done
refused as acme-ca cat /etc/acme-ca/intermediate.key
as acme-ca cat "$RUNTIME/intermediate.key" >/dev/null || fail "the server cannot read its key"

case_of "ports 443 and 80 are systemd's, and a second machine gets a certificate"
same "who listens" "acme-ca.socket" "$(of_unit ca acme-ca.service Requires | tr ' ' '\n' | grep acme-ca)"
same "the root at port 80" "$(cat "$(root web)/root/root.pem")" "$(on web curl --silent "http://ca.mgmt.lan/root.pem")"
order wiki.mgmt.lan
holds "the list" wiki.mgmt.lan "$(on ca ca-ctl list)"

case_of "a server that hangs is ended by the watchdog, and back"
printf '[Service]\nWatchdogSec=2\n' | put ca /etc/systemd/system/acme-ca.service.d/short.conf
on ca systemctl daemon-reload
on ca systemctl restart acme-ca.service
pid=$(main_pid)
on ca kill -STOP "$pid"
eventually 20 is_another_and_serves "$pid"
holds "the journal" "Failed with result 'watchdog'" "$(on ca journalctl --no-pager --unit=acme-ca.service)"
on ca rm /etc/systemd/system/acme-ca.service.d/short.conf
on ca systemctl daemon-reload
on ca systemctl restart acme-ca.service

case_of "killed, it is back within ten seconds, and a client that came meanwhile gets its certificate"
pid=$(main_pid) began=$SECONDS
on ca kill -KILL "$pid"
order git.mgmt.lan
is_another_than "$pid" || fail "it is not back"
[ $((SECONDS - began)) -le 10 ] || fail "it took $((SECONDS - began)) s"

case_of "a bad configuration is refused at reload, and the old one serves on"
pid=$(main_pid)
cp "$(root ca)/etc/acme-ca/acme-ca.toml" "$work/good.toml"
printf '[polcy]\nallow = ["*"]\n' | append ca /etc/acme-ca/acme-ca.toml
refused on ca systemctl reload acme-ca.service
holds "the journal" "unknown key polcy" "$(on ca journalctl --no-pager --unit=acme-ca.service)"
# Good as a file: what is wrong is seen by the server alone.
sed 's/^certificate = .*/certificate = "root.pem"/' "$work/good.toml" | put ca /etc/acme-ca/acme-ca.toml
on ca systemctl reload acme-ca.service
eventually 10 status_has "the last reload was refused"
order old.mgmt.lan
put ca /etc/acme-ca/acme-ca.toml <"$work/good.toml"
on ca systemctl reload acme-ca.service
eventually 10 status_has "serving $DIRECTORY"
same "the process" "$pid" "$(main_pid)"

case_of "encrypted credentials open for this machine alone, and the server starts on them"
on ca sh -euc '
    cd /etc/acme-ca
    systemd-creds encrypt --with-key=host --name=intermediate.key intermediate.key intermediate.key.cred
    systemd-creds encrypt --with-key=host --name=intermediate.pass /etc/credstore/acme-ca.intermediate.pass intermediate.pass.cred
    mv intermediate.key /etc/credstore/acme-ca.intermediate.pass /root/
' 2>/dev/null
put ca /etc/systemd/system/acme-ca.service.d/encrypted.conf <<'END'
[Service]
LoadCredential=
LoadCredentialEncrypted=intermediate.key:/etc/acme-ca/intermediate.key.cred
LoadCredentialEncrypted=intermediate.pass:/etc/acme-ca/intermediate.pass.cred
END
refused grep -q PRIVATE "$(root ca)/etc/acme-ca/intermediate.key.cred"
on ca systemctl daemon-reload
on ca systemctl restart acme-ca.service
order sealed.mgmt.lan
on ca rm /etc/systemd/system/acme-ca.service.d/encrypted.conf
on ca mv /root/acme-ca.intermediate.pass /etc/credstore/

case_of "a key that comes after boot is waited for, by clients too"
shut ca
boot ca
eventually 20 has_failed_once
holds "the journal" "status=243/CREDENTIALS" "$(on ca journalctl --boot --no-pager --unit=acme-ca.service)"
# It connects while there is nobody to answer.
on web curl --silent --fail --output /dev/null --max-time 30 --cacert /root/root.pem "$DIRECTORY" &
waiting=$!
on ca mv /root/intermediate.key /etc/acme-ca/
wait "$waiting" || fail "the client that waited got nothing"
same "its state" active "$(of_unit ca acme-ca.service ActiveState)"
same "the socket" active "$(of_unit ca acme-ca.socket ActiveState)"

case_of "an upgrade restarts it"
pid=$(main_pid)
on ca dpkg --install /root/acme-ca.deb >/dev/null 2>&1
eventually 10 is_another_and_serves "$pid"
same "the socket" active "$(of_unit ca acme-ca.socket ActiveState)"

case_of "removal keeps the state, and what comes back goes on with it"
on ca dpkg --remove acme-ca >/dev/null
on ca test -s /var/lib/acme-ca/ca.db
refused serves
refused on web curl --silent "http://ca.mgmt.lan/root.pem"
on ca dpkg --install /root/acme-ca.deb >/dev/null 2>&1
eventually 10 serves
holds "the list" wiki.mgmt.lan "$(on ca ca-ctl list)"

case_of "a purge takes the state and leaves the keys"
on ca dpkg --purge acme-ca >/dev/null
on ca test ! -e /var/lib/acme-ca
on ca test -s /etc/acme-ca/intermediate.key
refused on ca systemctl cat acme-ca.service
same "what failed" "" "$(on ca systemctl --failed --quiet list-units)"
