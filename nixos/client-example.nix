# A NixOS host whose certificates come from acme-ca. Put the root's certificate beside this file, change the names, and
# import it. It needs NixOS 25.11 or newer: older ones call the ordering unit acme-NAME.
{ config, lib, ... }:

{
  # The root that the whole host trusts, lego included.
  security.pki.certificateFiles = [ ./mgmt-lan-root.pem ];

  security.acme = {
    acceptTerms = true; # acme-ca has none; NixOS wants the word all the same
    defaults = {
      # Never changed without need: another URL, even another port, means new accounts and new orders.
      server = "https://ca.mgmt.lan/acme/directory";
      # It must be an address; it is the account's contact, and part of the name of the account's directory.
      email = "ops@mgmt.lan";
    };
  };

  # Only where the CA's name cannot be looked up before this host's own DNS works.
  networking.hosts."192.168.1.10" = [ "ca.mgmt.lan" ];

  # HTTP-01 asks at port 80.
  networking.firewall.allowedTCPPorts = [ 80 443 ];

  services.nginx = {
    enable = true;
    virtualHosts."wiki.mgmt.lan" = {
      enableACME = true;
      forceSSL = true;
      locations."/".return = "200 hello";
    };
  };

  # NixOS does not repeat an order that failed before its timer, a day later. A private CA has no quota to spare.
  systemd.services = lib.mapAttrs' (
    name: _:
    lib.nameValuePair "acme-order-renew-${name}" {
      unitConfig.StartLimitIntervalSec = 0;
      serviceConfig = {
        Restart = "on-failure";
        RestartSec = lib.mkForce 60;
      };
    }
  ) config.security.acme.certs;
}
