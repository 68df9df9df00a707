# Hosts that order at the CA, and the two modules together.
let
  inherit (import ./common.nix) ca url server client of orders here resolvers force order ours warnings elem;
in
{
  "14 local orders wait for the CA, and those elsewhere do not" = {
    modules = [
      server
      resolvers
      here
      (orders [ "git.mgmt.lan" "public.example" ])
      { security.acme.certs."public.example".server = "https://acme.example/directory"; }
    ];
    shows = config: map
      (name: map (elem "acme-ca.service") [ (order name config).after (order name config).wants ])
      [ "git.mgmt.lan" "public.example" ];
    expect = [ [ true true ] [ false false ] ];
  };
  "14 before 25.11 the order unit has another name" = {
    release = "25.05";
    modules = [ server resolvers here (orders [ "git.mgmt.lan" ]) client ];
    shows = config: {
      waits = elem "acme-ca.service" config.systemd.services."acme-git.mgmt.lan".after;
      inherit (config.systemd.services."acme-git.mgmt.lan".serviceConfig) Restart;
      other = config.systemd.services ? "acme-order-renew-git.mgmt.lan";
    };
    expect = { waits = true; Restart = "on-failure"; other = false; };
  };
  "14 a host without the server knows nothing of it" = {
    modules = [ client (orders [ "git.mgmt.lan" ]) ];
    shows = config: elem "acme-ca.service" (order "git.mgmt.lan" config).after || config.systemd.services ? acme-ca;
    expect = false;
  };

  "15 the client trusts the root and orders at the CA" = {
    modules = [ client { security.acme.certs."wiki.mgmt.lan".webroot = "/w"; } ];
    shows = config: {
      roots = builtins.length config.security.pki.certificateFiles;
      inherit (config.security.acme.defaults) server email;
      inherit (config.security.acme) acceptTerms;
    };
    expect = {
      roots = 1;
      server = url;
      email = "acme@host.mgmt.lan";
      acceptTerms = true;
    };
    # The name of the host is in the address.
    release = "26.05";
  };
  "15 a server of one's own wins" = {
    modules = [ client (orders [ "wiki.mgmt.lan" ]) { security.acme.defaults.server = "https://other.lan/acme/directory"; } ];
    shows = config: { inherit (config.security.acme.defaults) server email; };
    expect = { server = "https://other.lan/acme/directory"; email = "ops@mgmt.lan"; };
  };
  "15 the client's module stands alone" = {
    imports = [ ../client.nix ];
    modules = [ client (orders [ "wiki.mgmt.lan" ]) ];
    shows = config: (order "wiki.mgmt.lan" config).serviceConfig.Restart;
    expect = "on-failure";
  };
  "15 a client without a root is refused" = {
    modules = [ client (orders [ ]) (of { rootCertificateFiles = force [ ]; }) ];
    refused = [ "services.acme-ca.client.rootCertificateFiles is empty" ];
  };
  "15 a root at a path of the host is refused" = {
    modules = [ client (orders [ ]) (of { rootCertificateFiles = [ "/etc/root.pem" ]; }) ];
    refused = [ "services.acme-ca.client.rootCertificateFiles has a file outside the store" ];
  };
  "15 a fingerprint that is none is refused" = {
    modules = [ client (of { rootFingerprints = [ "c91f" ]; }) ];
    shows = config: config.security.pki.certificateFiles;
    refused = [ "services.acme-ca.client.rootFingerprints" "matching the pattern" ];
  };

  "16 certificates of other CAs stay as they are" = {
    modules = [
      client
      (orders [ "public.example" "wiki.mgmt.lan" ])
      { security.acme.certs."public.example".server = "https://acme.example/directory"; }
    ];
    shows = config: map
      (name: [
        ((order name config).environment ? LEGO_CA_CERTIFICATES)
        ((order name config).serviceConfig ? Restart)
        ((order name config).onFailure != [ ])
      ])
      [ "wiki.mgmt.lan" "public.example" ];
    expect = [ [ true true true ] [ false false false ] ];
  };

  "17 a failed order is tried again, ever more slowly" = {
    modules = [ client (orders [ "wiki.mgmt.lan" ]) ];
    shows = config: {
      inherit ((order "wiki.mgmt.lan" config).serviceConfig) Restart RestartSec RestartMaxDelaySec RestartSteps;
      inherit ((order "wiki.mgmt.lan" config).unitConfig) StartLimitIntervalSec;
      inherit ((order "wiki.mgmt.lan" config)) onFailure;
    };
    expect = {
      Restart = "on-failure";
      RestartSec = 60;
      RestartMaxDelaySec = 600;
      RestartSteps = 4;
      StartLimitIntervalSec = 0;
      onFailure = [ "acme-ca-order-again@wiki.mgmt.lan.service" ];
    };
  };
  "17 plain values of one's own win, where nixpkgs has none" = {
    modules = [
      client
      (orders [ "wiki.mgmt.lan" ])
      {
        systemd.services."acme-order-renew-wiki.mgmt.lan" = {
          environment.LEGO_CA_CERTIFICATES = "/etc/mine.pem";
          unitConfig.StartLimitIntervalSec = 60;
          serviceConfig = { Restart = "always"; RestartSteps = 2; RestartMaxDelaySec = 100; };
        };
      }
    ];
    shows = config: {
      inherit ((order "wiki.mgmt.lan" config).environment) LEGO_CA_CERTIFICATES;
      inherit ((order "wiki.mgmt.lan" config).unitConfig) StartLimitIntervalSec;
      inherit ((order "wiki.mgmt.lan" config).serviceConfig) Restart RestartSec RestartSteps RestartMaxDelaySec;
    };
    expect = {
      LEGO_CA_CERTIFICATES = "/etc/mine.pem";
      StartLimitIntervalSec = 60;
      Restart = "always";
      RestartSec = 60;
      RestartSteps = 2;
      RestartMaxDelaySec = 100;
    };
  };
  "17 without retry and pin the unit is nixpkgs' own" = {
    modules = [ client (orders [ "wiki.mgmt.lan" ]) (of { retry.enable = false; pinLego = false; }) ];
    shows = config:
      let unit = order "wiki.mgmt.lan" config; in
      [
        (unit.serviceConfig ? Restart)
        unit.serviceConfig.RestartSec
        (unit.unitConfig ? StartLimitIntervalSec)
        unit.onFailure
        (unit.environment ? LEGO_CA_CERTIFICATES)
        (config.systemd.services ? "acme-ca-order-again@")
      ];
    expect = [ false 900 false [ ] false false ];
  };

  "18 accounts and certificates keep their hashes" = {
    modules = [ client (orders [ "wiki.mgmt.lan" ]) ];
    shows = config: [
      (order "wiki.mgmt.lan" config).serviceConfig.StateDirectory
      ((config.security.acme.defaults.extraLegoFlags or [ ]) ++ (config.security.acme.defaults.extraLegoRenewFlags or [ ]))
    ];
    # What the same host has with `defaults.server` written by hand: sha256 of "URL ec256 ops@mgmt.lan", and so on.
    expect =
      let hash = text: builtins.substring 0 20 (builtins.hashString "sha256" text); in
      [
        [ "acme/.lego/accounts/${hash "${url} ec256 ops@mgmt.lan"}" "acme/.lego/wiki.mgmt.lan/${hash "${url}  ec256"}" ]
        [ ]
      ];
    release = "26.05";
  };

  "19 two roots are trusted during a rollover" = {
    modules = [ client (orders [ "wiki.mgmt.lan" ]) (of { rootCertificateFiles = [ (builtins.toFile "new.pem" "new") ]; }) ];
    shows = config: {
      roots = builtins.length config.security.pki.certificateFiles;
      pinned = (order "wiki.mgmt.lan" config).environment.LEGO_CA_CERTIFICATES
        == builtins.concatStringsSep ":" (map toString config.security.pki.certificateFiles);
    };
    expect = { roots = 2; pinned = true; };
  };

  "20 the CA's addresses are in networking.hosts" = {
    modules = [ client (orders [ ]) (of { caAddresses = [ "192.168.1.10" "fd00::10" ]; }) ];
    shows = config: { inherit (config.networking.hosts) "192.168.1.10" "fd00::10"; };
    expect = { "192.168.1.10" = [ "ca.mgmt.lan" ]; "fd00::10" = [ "ca.mgmt.lan" ]; };
  };
  "20 without addresses there is no entry" = {
    modules = [ client (orders [ ]) ];
    shows = config: builtins.filter (elem "ca.mgmt.lan") (builtins.attrValues config.networking.hosts);
    expect = [ ];
  };
  "20 an address in the URL is refused" = {
    modules = [ client (orders [ ]) (of { directoryUrl = force "https://192.168.1.10/acme/directory"; }) ];
    refused = [ "services.acme-ca.client.directoryUrl has the host 192.168.1.10" ];
  };
  "20 a URL without a path is refused" = {
    modules = [ client (orders [ ]) (of { directoryUrl = force "https://ca.mgmt.lan"; }) ];
    refused = [ "services.acme-ca.client.directoryUrl is \"" ];
  };
  "20 a slash behind the URL is refused" = {
    modules = [ client (orders [ ]) (of { directoryUrl = force "https://ca.mgmt.lan/acme/directory/"; }) ];
    refused = [ "services.acme-ca.client.directoryUrl is \"" ];
  };
  "20 a blank behind the URL is refused" = {
    modules = [ client (orders [ ]) (of { directoryUrl = force "https://ca.mgmt.lan/acme/directory "; }) ];
    refused = [ "services.acme-ca.client.directoryUrl is \"" ];
  };
  "20 a dot behind localhost is refused" = {
    modules = [ client (orders [ ]) (of { directoryUrl = force "https://localhost./acme/directory"; }) ];
    refused = [ "services.acme-ca.client.directoryUrl has the host localhost." ];
  };
  "20 a name below localhost is refused" = {
    modules = [ client (orders [ ]) (of { directoryUrl = force "https://ca.localhost/acme/directory"; }) ];
    refused = [ "services.acme-ca.client.directoryUrl has the host ca.localhost" ];
  };
  "20 an IPv6 address in the URL is refused" = {
    modules = [ client (orders [ ]) (of { directoryUrl = force "https://[fd00::1]/acme/directory"; }) ];
    refused = [ "services.acme-ca.client.directoryUrl has the host [fd00::1]" ];
  };
  "20 a name among the CA's addresses is refused" = {
    modules = [ client (orders [ ]) (of { caAddresses = [ "ca.mgmt.lan" ]; }) ];
    shows = config: config.networking.hosts;
    refused = [ "services.acme-ca.client.caAddresses" "IP address" ];
  };
  "20 plain HTTP in the URL is refused" = {
    modules = [ client (orders [ ]) (of { directoryUrl = force "http://ca.mgmt.lan/acme/directory"; }) ];
    refused = [ "services.acme-ca.client.directoryUrl is \"http://ca.mgmt.lan/acme/directory\"" ];
  };

  "21 timers of short-lived certificates run hourly" = {
    modules = [ client (orders [ "wiki.mgmt.lan" ]) (of { shortLived = true; }) ];
    shows = config: { inherit (config.systemd.timers."acme-renew-wiki.mgmt.lan".timerConfig) OnCalendar RandomizedDelaySec AccuracySec; };
    expect = { OnCalendar = "hourly"; RandomizedDelaySec = "1h"; AccuracySec = "5m"; };
  };
  "21 other timers stay as they are" = {
    modules = [ client (orders [ "wiki.mgmt.lan" ]) ];
    shows = config: { inherit (config.systemd.timers."acme-renew-wiki.mgmt.lan".timerConfig) OnCalendar RandomizedDelaySec; };
    expect = { OnCalendar = "daily"; RandomizedDelaySec = "24h"; };
  };

  "22 the client opens port 80 when asked" = {
    modules = [ client (orders [ "wiki.mgmt.lan" ]) (of { openHttp01Port = true; }) ];
    shows = config: [ config.networking.firewall.allowedTCPPorts (warnings config) ];
    expect = [ [ 80 ] [ ] ];
  };
  "22 a closed port 80 is warned of" = {
    modules = [ client (orders [ "wiki.mgmt.lan" ]) ];
    shows = warnings;
    expect = [ "services.acme-ca.client" ];
  };

  "23 server, client and step-ca share a host" = {
    modules = [
      server
      client
      resolvers
      (orders [ "git.mgmt.lan" ])
      { services.step-ca.enable = true; networking.firewall.allowedTCPPorts = [ 80 ]; }
    ];
    shows = config: {
      warned = warnings config;
      units = ours (builtins.attrNames config.systemd.services);
      waits = elem "acme-ca.service" (order "git.mgmt.lan" config).after;
    };
    expect = { warned = [ "services.acme-ca" ]; units = [ "acme-ca" "acme-ca-order-again@" ]; waits = true; };
    release = "26.05";
  };
  "23 step-ca's URL is warned of" = {
    modules = [ client (orders [ ]) (of { directoryUrl = force "https://ca.mgmt.lan/acme/acme/directory"; }) ];
    shows = warnings;
    expect = [ "services.acme-ca.client.directoryUrl" ];
  };
  "23 lifetimes that do not fit the timers are warned of, as they are in effect" = {
    modules = [
      server
      client
      resolvers
      (orders [ "a.mgmt.lan" "b.mgmt.lan" "c.mgmt.lan" "d.mgmt.lan" ])
      (of { openHttp01Port = true; })
      (ca { settings.profiles = { default.lifetime = "25d"; brief.lifetime = "2d"; long.lifetime = "12w"; }; })
      {
        security.acme.certs."a.mgmt.lan".validMinDays = 30;
        security.acme.certs."b.mgmt.lan" = { validMinDays = 1; profile = "brief"; };
        security.acme.certs."c.mgmt.lan" = { validMinDays = 30; profile = "long"; };
        security.acme.certs."d.mgmt.lan".validMinDays = 10;
      }
    ];
    shows = config: map (builtins.substring 0 50) config.warnings;
    expect = [
      "services.acme-ca.client: b.mgmt.lan lives for less"
      "services.acme-ca.client: a.mgmt.lan has a validMin"
    ];
    release = "26.05";
  };
  "23 twenty days and NixOS' thirty are warned of" = {
    release = "25.11";
    modules = [ server client resolvers (orders [ "a.mgmt.lan" ]) (of { openHttp01Port = true; }) (ca { lifetime.defaultDays = 20; }) ];
    shows = config: map (builtins.substring 0 50) config.warnings;
    expect = [ "services.acme-ca.client: a.mgmt.lan has a validMin" ];
  };
  "23 what cannot work is warned of" = {
    modules = [
      client
      (orders [ "wiki.mgmt.lan" ])
      (of { openHttp01Port = true; })
      { security.acme.certs."wiki.mgmt.lan" = { ocspMustStaple = true; extraDomainNames = [ "*.wiki.mgmt.lan" ]; }; }
    ];
    shows = warnings;
    expect = [ "services.acme-ca.client" "services.acme-ca.client" ];
  };

  "more: a failed order is told to ntfy" = {
    modules = [
      client
      (orders [ "wiki.mgmt.lan" ])
      (of { notifyOnFailure = { url = "https://ntfy.mgmt.lan"; topic = "pki"; tokenFile = "/run/secrets/ntfy"; }; })
    ];
    shows = config: {
      inherit (order "wiki.mgmt.lan" config) onFailure;
      hooks = builtins.length (order "wiki.mgmt.lan" config).serviceConfig.ExecStopPost;
      inherit (config.systemd.services."acme-ca-notify@".serviceConfig) LoadCredential DynamicUser;
    };
    expect = {
      onFailure = [ "acme-ca-order-again@wiki.mgmt.lan.service" "acme-ca-notify@wiki.mgmt.lan.service" ];
      hooks = 1;
      LoadCredential = [ "token:/run/secrets/ntfy" ];
      DynamicUser = true;
    };
  };
  "more: a token in the store is refused" = {
    modules = [ client (of { notifyOnFailure = { url = "https://ntfy.mgmt.lan"; topic = "pki"; tokenFile = ./cases.nix; }; }) ];
    refused = [ "services.acme-ca.client.notifyOnFailure.tokenFile" "not in the Nix store" ];
  };
}
