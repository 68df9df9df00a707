# Three NixOS hosts and a CA in containers: `nix build .#checks.x86_64-linux.container`, with a nixpkgs whose test framework
# has containers (2026). NOT RUN in this repository's own tests, which have no nixpkgs; those evaluate the modules and replay
# the same story on Debian. The story: the name server is down, so nothing validates and hosts stay on their fallback
# certificates; the name server comes back, and every host heals by itself.
{ pkgs }:

let
  # A CA for the test alone: these keys are worthless, so they may lie in the store. /etc copies them to where a secret is.
  authority = pkgs.runCommand "test-ca" { nativeBuildInputs = [ (pkgs.callPackage ../package.nix { }) ]; } ''
    ca-ctl init --dir $out --url https://ca.test.lan --permit test.lan
  '';
  client = { lib, ... }: {
    imports = [ ../client.nix ];
    services.acme-ca.client = {
      enable = true;
      directoryUrl = "https://ca.test.lan/acme/directory";
      rootCertificateFiles = [ "${authority}/root.pem" ];
      openHttp01Port = true;
      retry.intervalSec = 5;
      retry.maxIntervalSec = 5;
    };
    networking.nameservers = lib.mkForce [ "192.168.1.2" ];
    networking.firewall.allowedTCPPorts = [ 443 ];
  };
in
pkgs.testers.runNixOSTest {
  name = "acme-ca";

  # Addresses go by the alphabet: ca 192.168.1.1, dns .2, git .3, wiki .4.
  containers = {
    ca = {
      imports = [ ../server.nix ];
      services.acme-ca = {
        enable = true;
        hostName = "ca.test.lan";
        port = 443;
        openFirewall = true;
        rootCertificateFile = "${authority}/root.pem";
        intermediateCertificateFile = "${authority}/intermediate.pem";
        credentials.intermediateKey = "/etc/test-secret/intermediate.key";
        policy.allow = [ "*.test.lan" ];
        validation.resolvers = [ "192.168.1.2" ];
        settings.validation.patience = "5s";
      };
      environment.etc."test-secret/intermediate.key" = { source = "${authority}/intermediate.key"; mode = "0600"; };
    };

    dns = {
      networking.firewall.allowedUDPPorts = [ 53 ];
      networking.firewall.allowedTCPPorts = [ 53 ];
      services.dnsmasq = {
        enable = true;
        settings = {
          no-resolv = true;
          address = [ "/ca.test.lan/192.168.1.1" "/git.test.lan/192.168.1.3" "/wiki.test.lan/192.168.1.4" ];
        };
      };
    };

    git = {
      imports = [ client ];
      services.caddy = {
        enable = true;
        virtualHosts."git.test.lan" = { useACMEHost = "git.test.lan"; extraConfig = ''respond "git"''; };
        virtualHosts."http://git.test.lan".extraConfig = "root * /var/lib/acme/acme-challenge\nfile_server";
      };
      security.acme.certs."git.test.lan" = { webroot = "/var/lib/acme/acme-challenge"; group = "caddy"; };
    };

    wiki = {
      imports = [ client ];
      services.nginx = {
        enable = true;
        virtualHosts."wiki.test.lan" = { enableACME = true; forceSSL = true; locations."/".return = "200 wiki"; };
      };
    };
  };

  testScript = ''
    # The machines that need DNS begin without it.
    dns.start()
    dns.wait_for_unit("dnsmasq.service")
    ca.start()
    ca.wait_for_unit("acme-ca.service")
    dns.succeed("systemctl stop dnsmasq.service")

    git.start()
    wiki.start()
    wiki.wait_for_unit("nginx.service")
    wiki.wait_until_succeeds("systemctl show --property=NRestarts --value acme-order-renew-wiki.test.lan.service | grep -v '^0$'")
    wiki.succeed("grep -q BEGIN /var/lib/acme/wiki.test.lan/fullchain.pem")
    wiki.fail("openssl verify -CAfile ${authority}/root.pem -untrusted /var/lib/acme/wiki.test.lan/chain.pem /var/lib/acme/wiki.test.lan/cert.pem")

    dns.succeed("systemctl start dnsmasq.service")
    for host, name in [(wiki, "wiki.test.lan"), (git, "git.test.lan")]:
        host.wait_until_succeeds(
            f"openssl verify -CAfile ${authority}/root.pem -untrusted /var/lib/acme/{name}/chain.pem /var/lib/acme/{name}/cert.pem",
            timeout=180,
        )
    wiki.wait_until_succeeds("curl --fail https://wiki.test.lan | grep wiki")
    wiki.wait_until_succeeds("curl --fail https://git.test.lan | grep git")

    # The CA comes back when it is killed.
    ca.succeed("systemctl kill --signal=KILL acme-ca.service")
    ca.wait_until_succeeds("systemctl is-active acme-ca.service", timeout=30)
    ca.succeed("ca-ctl list | grep wiki.test.lan")
  '';
}
