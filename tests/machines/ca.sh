# shellcheck shell=bash
# The CA's machine and what a client needs to know of it, for every group of cases. Sourced after machine.sh.

CA=192.168.77.10
WEB=192.168.77.21
DIRECTORY=https://ca.mgmt.lan/acme/directory

# The package brought in, but no machine booted: chroot is how images are built.
install_offline() {
    put "$1" /root/acme-ca.deb <"$PACKAGE"
    chroot "$(root "$1")" dpkg --install /root/acme-ca.deb >/dev/null 2>&1
}

# configure NAME [ISSUER-LINE] <<<MORE: the configuration, with what is given on standard input at its end.
configure() {
    {
        cat <<END
[server]
url          = "https://ca.mgmt.lan"
listen       = ["[::]:443"]
plain_listen = ["[::]:80"]

[ca]
root = "root.pem"

[[ca.issuer]]
certificate = "intermediate.pem"
key         = "/run/credentials/acme-ca.service/intermediate.key"
${2:-}

[store]
url = "sqlite:/var/lib/acme-ca/ca.db"

END
        cat
    } | put "$1" /etc/acme-ca/acme-ca.toml
}
