# What the server refuses: hosts that serve DNS, public name servers, names that nobody finds.
let
  inherit (import ./common.nix) ca server orders here resolvers settings has cures;
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
