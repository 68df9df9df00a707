# What the server refuses: hosts that serve DNS, public name servers, names that nobody finds.
let
  inherit (import ./common.nix) ca server orders here resolvers settings has cures url order elem;
  public = ca { validation.resolvers = [ "1.1.1.1" "tls://9.9.9.9#dns.quad9.net" ]; };
  zone = servers: ca { settings.resolver.zone = [{ suffix = "*.Mgmt.lan."; inherit servers; }]; };
  # An option that our stubs lack.
  enabling = name: { lib, ... }: {
    options.services.${name}.enable = lib.mkOption { type = lib.types.bool; default = true; };
  };
in
{
  "09 a DNS server without a pin is refused, with the cures" = {
    modules = [ server { services.adguardhome.enable = true; } ];
    refused = [ "serves DNS itself" "services.adguardhome" ] ++ cures;
  };
  "09 hosts cure it" = {
    modules = [ server { services.adguardhome.enable = true; } (ca { validation.hosts."*.mgmt.lan" = [ "192.168.1.10" ]; }) ];
    shows = config: (settings config).resolver.pins;
    expect = { "*.mgmt.lan" = [ "192.168.1.10" ]; };
  };
  "09 resolvers cure it" = {
    modules = [ server { services.adguardhome.enable = true; } resolvers ];
    shows = config: (settings config).resolver.servers;
    expect = [ "192.168.1.10" ];
  };
  "09 the system's resolver can be accepted" = {
    modules = [ server { services.adguardhome.enable = true; } (ca { validation.acceptSystemResolver = true; }) ];
    shows = config: has "servers" (settings config).resolver;
    expect = false;
  };
  "09 pins in settings count as well" = {
    modules = [ server { services.adguardhome.enable = true; } (ca { settings.resolver.pins."a.mgmt.lan" = [ "192.168.1.10" ]; }) ];
    shows = config: (settings config).resolver.pins;
    expect = { "a.mgmt.lan" = [ "192.168.1.10" ]; };
  };

  "09 public resolvers cure nothing" = {
    modules = [ server { services.adguardhome.enable = true; } public ];
    refused = [ "validation.resolvers, which are all public (1.1.1.1 9.9.9.9)" ] ++ cures;
  };
  "09 a pin to loopback says nothing of other hosts" = {
    modules = [ server { services.adguardhome.enable = true; } (ca { validation.hosts."wiki.mgmt.lan" = [ "127.0.0.1" "::1" ]; }) ];
    refused = [ "serves DNS itself" ] ++ cures;
  };
  "09 a pin to loopback cures it for a name of this host" = {
    modules = [
      server
      here
      (orders [ "git.mgmt.lan" ])
      { services.adguardhome.enable = true; }
      (ca { validation.hosts."GIT.mgmt.lan" = [ "127.0.0.1" ]; })
    ];
    shows = config: (settings config).resolver.pins;
    expect = { "GIT.mgmt.lan" = [ "127.0.0.1" ]; };
  };
  "09 a zone with servers of one's own cures it" = {
    modules = [ server { services.adguardhome.enable = true; } (zone [ "192.168.1.10" ]) ];
    shows = config: has "servers" (settings config).resolver;
    expect = false;
  };
  "09 a zone with public servers does not" = {
    modules = [ server { services.adguardhome.enable = true; } (zone [ "1.1.1.1" ]) ];
    refused = [ "serves DNS itself" ] ++ cures;
  };

  "10 unbound is a DNS server" = {
    modules = [ server { services.unbound.enable = true; } ];
    refused = [ "serves DNS itself" "services.unbound" ];
  };
  "10 bind is a DNS server, and both are named" = {
    modules = [ server { services.bind.enable = true; services.unbound.enable = true; } ];
    refused = [ "serves DNS itself" "services.bind, services.unbound" ];
  };
  "10 options that a release lacks do no harm" = {
    withDnsServices = false;
    modules = [ server ];
    shows = config: config.services ? adguardhome;
    expect = false;
  };

  "10 a DNS server is one however its option is declared" = {
    withDnsServices = false;
    modules = [
      server
      ({ lib, ... }: {
        options.services.adguardhome = lib.mkOption { type = lib.types.attrsOf lib.types.bool; default = { enable = true; }; };
      })
    ];
    refused = [ "serves DNS itself" "services.adguardhome" ];
  };
  "10 Technitium is a DNS server" = {
    withDnsServices = false;
    modules = [ server (enabling "technitium") ];
    refused = [ "serves DNS itself" "services.technitium" ];
  };

  "11 public resolvers alone are refused" = {
    modules = [ server { networking.nameservers = [ "192.168.1.1" ]; } public ];
    refused = [ "validation.resolvers, which are all public (1.1.1.1 9.9.9.9)" ] ++ cures;
  };
  "11 public resolvers in settings are refused" = {
    modules = [ server (ca { settings.resolver.servers = [ "[2620:fe::fe]:53" ]; }) ];
    refused = [ "all public (2620:fe::fe)" ];
  };
  "11 public resolvers can be accepted" = {
    modules = [ server public (ca { validation.acceptSystemResolver = true; }) ];
    shows = config: builtins.length (settings config).resolver.servers;
    expect = 2;
  };
  "11 public name servers without a pin are refused" = {
    modules = [ server { networking.nameservers = [ "1.1.1.1" "9.9.9.9" ]; } ];
    refused = [ "all public (1.1.1.1 9.9.9.9)" ] ++ cures;
  };
  "11 public name servers in other forms are refused" = {
    modules = [ server { networking.nameservers = [ "9.9.9.9#dns.quad9.net" "2606:4700:4700::1111" ]; } ];
    refused = [ "all public (9.9.9.9 2606:4700:4700::1111)" ];
  };
  "11 a name server of one's own passes" = {
    modules = [ server { networking.nameservers = [ "127.0.0.1" ]; } ];
    shows = config: has "servers" (settings config).resolver;
    expect = false;
  };
  "11 one private name server among public ones passes" = {
    modules = [ server { networking.nameservers = [ "fd00::53" "172.20.0.53" "1.1.1.1" ]; } ];
    shows = config: config.services.acme-ca.enable;
    expect = true;
  };
  "11 a resolver that waits for our certificate is refused" = {
    modules = [ server (ca { validation.resolvers = [ "tls://192.168.1.10#ca.mgmt.lan" ]; }) ];
    refused = [ "have the CA ask itself" "tls://192.168.1.10#ca.mgmt.lan" ];
  };

  "11 a zone's server that waits for our certificate is refused, however the name is written" = {
    modules = [ server (zone [ "tls://192.168.1.10#CA.mgmt.lan." ]) ];
    refused = [ "have the CA ask itself" "tls://192.168.1.10#CA.mgmt.lan." ];
  };

  "12 a local name that public resolvers are asked for is refused" = {
    modules = [ server here (orders [ "git.mgmt.lan" "dns.mgmt.lan" ]) public (ca { validation.hosts."dns.mgmt.lan" = [ "192.168.1.10" ]; }) ];
    refused = [ "nothing says where the CA finds these of their names" "git.mgmt.lan" "public servers, which know nothing of them" ] ++ cures;
  };
  "12 a local name below a zone is found" = {
    modules = [ server here (orders [ "git.mgmt.lan" "mgmt.lan" ]) (zone [ "192.168.1.10" ]) ];
    shows = config: (settings config).resolver.pins;
    expect = { };
  };
  "12 a local name beside a zone is not" = {
    modules = [ server here (orders [ "git.notmgmt.lan" ]) (zone [ "192.168.1.10" ]) ];
    refused = [ "nothing says where the CA finds these of their names" "git.notmgmt.lan" ];
  };
  "12 the directory is the CA's with its port and in capitals, too" = {
    modules = [ server (orders [ "git.mgmt.lan" ]) { security.acme.defaults.server = "https://CA.mgmt.lan:443/acme/directory"; } ];
    refused = [ "nothing says where the CA finds these of their names" "git.mgmt.lan" ];
  };
  "12 the advertised URL is that of the settings" = {
    modules = [
      server
      resolvers
      (ca { settings.server.url = "https://ca.mgmt.lan:8443"; })
      (orders [ "git.mgmt.lan" "old.mgmt.lan" ])
      { security.acme.certs."git.mgmt.lan".server = "https://ca.mgmt.lan:8443/acme/directory"; security.acme.certs."old.mgmt.lan".server = url; }
    ];
    shows = config: {
      inherit (config.services.acme-ca) advertisedUrl;
      waits = map (name: elem "acme-ca.service" (order name config).wants) [ "git.mgmt.lan" "old.mgmt.lan" ];
    };
    expect = { advertisedUrl = "https://ca.mgmt.lan:8443/acme/directory"; waits = [ true false ]; };
  };
  "12 settings with another host are refused" = {
    modules = [ server (ca { settings.server.url = "https://other.mgmt.lan"; }) ];
    refused = [ "services.acme-ca.settings.server.url is https://other.mgmt.lan" "hostName is ca.mgmt.lan" ];
  };
  "12 the order waits for the CA by any of its URLs" = {
    modules = [ server resolvers (orders [ "git.mgmt.lan" ]) { security.acme.defaults.server = "https://CA.mgmt.lan:443/acme/directory"; } ];
    shows = config: elem "acme-ca.service" (order "git.mgmt.lan" config).wants;
    expect = true;
  };
  "12 capitals in networking.hosts are the same name" = {
    modules = [ server here (orders [ "git.mgmt.lan" ]) { networking.hosts."192.168.1.10" = [ "GIT.mgmt.lan" ]; } ];
    shows = config: (settings config).resolver.pins;
    expect = { "git.mgmt.lan" = [ "192.168.1.10" ]; };
  };
  "12 a local name without an address is refused and listed" = {
    modules = [
      server
      here
      (orders [ ])
      {
        services.nginx.enable = true;
        services.nginx.virtualHosts."git.mgmt.lan" = { enableACME = true; serverAliases = [ "code.mgmt.lan" ]; };
      }
      (ca { validation.hosts."git.mgmt.lan" = [ "192.168.1.10" ]; })
    ];
    refused = [ "nothing says where the CA finds these of their names" "code.mgmt.lan" ] ++ cures;
  };
  "12 what is shown by DNS needs no address" = {
    modules = [
      server
      here
      (orders [ "git.mgmt.lan" ])
      { security.acme.certs."git.mgmt.lan" = { webroot = null; dnsProvider = "rfc2136"; }; }
    ];
    shows = config: (settings config).resolver.pins;
    expect = { };
  };
  "12 what networking.hosts says is pinned, but not loopback" = {
    modules = [
      server
      here
      (orders [ "git.mgmt.lan" ])
      { networking.hosts = { "192.168.1.10" = [ "git.mgmt.lan" "x.mgmt.lan" ]; "127.0.0.2" = [ "git.mgmt.lan" ]; }; }
    ];
    shows = config: (settings config).resolver.pins;
    expect = { "git.mgmt.lan" = [ "192.168.1.10" ]; };
  };

  "13 a name for the host's address is refused" = {
    modules = [ server (ca { validation.hostAddress = "ca.mgmt.lan"; }) ];
    refused = [ "services.acme-ca.validation.hostAddress" "IP address" ];
  };
  "13 a pin to what is no address is refused" = {
    modules = [ server (ca { validation.hosts."x.mgmt.lan" = [ "192.168.1.256" ]; }) ];
    refused = [ "services.acme-ca.validation.hosts" "IP address" ];
  };
  "13 addresses of both kinds are taken" = {
    modules = [ server (ca { validation.hosts."x.mgmt.lan" = [ "192.168.1.10" "fd00::10" "::1" "2001:DB8:0:0:1:2:3:4" ]; }) ];
    shows = config: builtins.length (settings config).resolver.pins."x.mgmt.lan";
    expect = 4;
  };
  "13 the host's address pins all its names" = {
    modules = [
      server
      here
      (orders [ "git.mgmt.lan" ])
      { security.acme.certs."git.mgmt.lan".extraDomainNames = [ "code.mgmt.lan" ]; }
      (ca { validation.hostAddress = "192.168.1.10"; })
    ];
    shows = config: (settings config).resolver.pins;
    expect = {
      "ca.mgmt.lan" = [ "192.168.1.10" ];
      "code.mgmt.lan" = [ "192.168.1.10" ];
      "git.mgmt.lan" = [ "192.168.1.10" ];
    };
  };
}
