# What services.acme-ca refuses, and what it warns of. The reason for most of it is one bad day: the CA asked name servers
# that knew nothing of the internal zone, every validation failed, and fifteen services fell back to self-signed
# certificates. A machine that serves DNS itself is where that happens first: its DNS waits for certificates, and the
# certificates wait for its DNS.
#
# The merged `settings` are judged, so it does not matter whether a pin came from a typed option or from there.
{ config, lib, options, ... }:

let
  own = import ./lib.nix { inherit lib; };
  cfg = config.services.acme-ca;

  resolver = cfg.settings.resolver or { };
  servers = resolver.servers or [ ];
  pins = lib.attrNames (resolver.pins or { });
  asksTheSystem = servers == [ ] && !cfg.validation.acceptSystemResolver;
  nothingSaid = asksTheSystem && pins == [ ];
  cures = ''
    One of these cures it:
      services.acme-ca.validation.resolvers = [ "ADDRESS" ];   the servers that know the names, which the CA then asks
      services.acme-ca.validation.hosts = { "NAME" = [ "ADDRESS" ]; };   or .hostAddress = "ADDRESS"; for this host's own names
      services.acme-ca.validation.acceptSystemResolver = true;   when resolv.conf is known to be right'';

  # Services that answer DNS. An option that a release lacks, has renamed or has taken away (those are not visible) counts
  # for nothing.
  dnsServers = [
    "adguardhome"
    "bind"
    "blocky"
    "coredns"
    "dnsmasq"
    "knot-resolver"
    "kresd"
    "pdns-recursor"
    "pihole-ftl"
    "technitium-dns-server"
    "unbound"
  ];
  isEnabled = service:
    let option = options.services.${service}.enable or null; in
    option != null && (option.visible or true) == true && config.services.${service}.enable;
  enabledDnsServers = lib.filter isEnabled dnsServers;

  nameservers = map own.serverAddress (config.networking.nameservers or [ ]);
  areAllPublic = nameservers != [ ] && lib.all (address: !own.isPrivate address) nameservers;

  localNames = own.namesToDial (own.certificatesOf cfg.advertisedUrl config.security.acme.certs);
  uncovered = lib.filter (name: !lib.any (pattern: own.pinCovers pattern name) pins) localNames;

  ownNames = map lib.toLower ([ cfg.hostName ] ++ localNames);
  circular = lib.filter
    (server: lib.elem (own.serverAddress server) ownNames
      || own.serverName server != null && lib.elem (own.serverName server) ownNames)
    servers;

  tooLong = lib.filter
    (name:
      let days = own.days (cfg.settings.profiles.${name}.lifetime or "90d"); in
      days != null && days > cfg.lifetime.maxDays && !(name == "default" && days == cfg.lifetime.defaultDays))
    (lib.attrNames (cfg.settings.profiles or { }));

  store = cfg.settings.store.url or "";
  file = own.sqliteFile store;

  sources = [ cfg.credentials.intermediateKey ] ++ lib.attrValues cfg.credentials.extra
    ++ lib.optional (cfg.credentials.intermediatePassphrase != null) cfg.credentials.intermediatePassphrase;
  lines = lib.concatStringsSep "\n";
in
{
  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = (cfg.settings.policy.allow or [ ]) != [ ];
        message = ''
          services.acme-ca.policy.allow is empty: nothing says which names may have a certificate. Your zone would do, such as
          [ "mgmt.lan" "*.mgmt.lan" ].'';
      }
      {
        assertion = lib.hasPrefix "sqlite:" store -> file != null && own.isWritablePath file;
        message = ''
          services.acme-ca.settings.store.url is ${store}. ${own.writablePaths}
          sqlite:/var/lib/acme-ca/ca.db would do.'';
      }
      {
        assertion = cfg.lifetime.defaultDays <= cfg.lifetime.maxDays;
        message = ''
          services.acme-ca.lifetime.defaultDays (${toString cfg.lifetime.defaultDays}) is more than lifetime.maxDays (${toString cfg.lifetime.maxDays}).
          Shorten the one, or lengthen the other.'';
      }
      {
        assertion = tooLong == [ ];
        message = ''
          services.acme-ca.settings.profiles has lifetimes beyond lifetime.maxDays (${toString cfg.lifetime.maxDays}): ${toString tooLong}.
          Shorten them, or raise lifetime.maxDays.'';
      }
      {
        assertion = !(nothingSaid && enabledDnsServers != [ ]);
        message = ''
          services.acme-ca runs on a host that serves DNS itself (services.${lib.concatStringsSep ", services." enabledDnsServers}), and nothing says how the CA
          looks names up without it. It would ask the servers of resolv.conf. When those do not know your zone, or wait for
          a certificate themselves, every validation fails, and services stay on self-signed certificates.
          ${cures}'';
      }
      {
        assertion = !(nothingSaid && areAllPublic);
        message = ''
          services.acme-ca would ask the name servers of networking.nameservers, which are all public (${toString nameservers}).
          They know nothing of an internal zone, so every validation in it would fail.
          ${cures}'';
      }
      {
        assertion = !(asksTheSystem && uncovered != [ ]);
        message = ''
          This host orders certificates from its own CA, and nothing says where the CA finds these of their names:
          ${lines (map (name: "  ${name}") uncovered)}
          It would ask the servers of resolv.conf, which may be waiting for these very certificates.
          ${cures}'';
      }
      {
        assertion = circular == [ ];
        message = ''
          services.acme-ca.validation.resolvers would have the CA ask itself: ${toString circular}.
          To find that server, or to trust it, the CA would need a certificate of its own that it has yet to issue. Give the server's
          address without TLS, or another server.'';
      }
    ];

    warnings =
      lib.optional (config.services.step-ca.enable or false) ''
        services.acme-ca and services.step-ca are both enabled. That is right while hosts move from one to the other; they need
        different ports, and the directory's URL has to be a new one (nixos/README.md).''
      ++ lib.optional (lib.any (lib.hasPrefix "/run/keys/") sources && cfg.credentials.afterUnits == [ ]) ''
        services.acme-ca.credentials has files in /run/keys, which are gone after a reboot until they are sent again. The service
        starts when they are there; name the unit that says so in credentials.afterUnits, such as "intermediate.key-key.service".'';
  };
}
