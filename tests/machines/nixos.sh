# shellcheck shell=bash
# A NixOS host as far as certificates go: the units that `security.acme` of NixOS 25.11 renders for two names of one
# account, with what services.acme-ca.client adds, and nginx. Debian's lego and an openssl script stand in for lego and
# minica of nixpkgs. Sourced after ca.sh.

# acme_host MACHINE LEADER FOLLOWER: before it boots.
acme_host() {
    local host=$1 leader=$2 follower=$3 name account flags
    # As NixOS files them: server, kind of key and address of an account; flags, server and kind of key of a certificate.
    account=$(printf '%s' "$DIRECTORY ec256 acme@web" | sha256sum | cut -c1-20)
    flags=$(printf '%s' "- - - $DIRECTORY ec256" | sha256sum | cut -c1-20)
    # unit TEMPLATE NAME PLACE
    unit() {
        sed -e "s/@NAME@/$2/g; s/@ACCOUNT@/$account/g; s/@FLAGS@/$flags/g" \
            -e "s/@LEADER@/$leader/g; s/@FOLLOWER@/$follower/g" "$here/nixos/units/$1" |
            put "$host" "/etc/systemd/system/$3"
    }
    for name in "$leader" "$follower"; do
        unit acme-NAME.service "$name" "acme-$name.service"
        unit common.conf "" "acme-$name.service.d/common.conf"
        unit acme-order-renew-NAME.service "$name" "acme-order-renew-$name.service"
        unit common.conf "" "acme-order-renew-$name.service.d/common.conf"
        unit retry-NAME.conf "$name" "acme-order-renew-$name.service.d/retry.conf"
        unit acme-renew-NAME.timer "$name" "acme-renew-$name.timer"
    done
    unit acme-setup.service "" acme-setup.service
    unit common.conf "" acme-setup.service.d/common.conf
    unit acme-account-ACCOUNT.target "" "acme-account-$account.target"
    unit acme-ca-order-again@.service "" acme-ca-order-again@.service
    unit nginx.conf "" nginx.service.d/acme.conf
    for name in "$here"/nixos/scripts/*; do
        put "$host" "/usr/local/lib/acme/${name##*/}" <"$name"
        chroot "$(root "$host")" chmod 755 "/usr/local/lib/acme/${name##*/}"
    done
    chroot "$(root "$host")" useradd --system --user-group --home-dir /var/lib/acme acme
    chroot "$(root "$host")" usermod --append --groups acme www-data
    chroot "$(root "$host")" rm /etc/nginx/sites-enabled/default
    web_server "$leader" "$follower" | put "$host" /etc/nginx/conf.d/names.conf
    systemctl --quiet --root="$(root "$host")" enable nginx.service "acme-account-$account.target" \
        "acme-$leader.service" "acme-$follower.service" "acme-renew-$leader.timer" "acme-renew-$follower.timer"
}

web_server() {
    local name
    for name; do
        cat <<END
server {
    listen 80;
    listen 443 ssl;
    server_name $name;
    ssl_certificate     /var/lib/acme/$name/fullchain.pem;
    ssl_certificate_key /var/lib/acme/$name/key.pem;
    location /.well-known/acme-challenge/ { root /var/lib/acme/acme-challenge; }
    location / { return 200 "hello from $name\n"; }
}
END
    done
}
