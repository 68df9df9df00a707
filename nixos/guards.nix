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
  accepted = cfg.validation.acceptSystemResolver;
  # Servers at public addresses alone cannot know an internal zone, wherever they are written.
  mayKnow = lib.any (server: own.isPrivate (own.serverAddress server));
  zones = lib.filter (zone: mayKnow (zone.servers or [ ])) (resolver.zone or [ ]);
  pins = lib.filterAttrs (_: addresses: addresses != [ ]) (resolver.pins or { });
  # The CA that dials loopback reaches this host, so such a pin says something of this host's own certificates, and of no other.
  saying = lib.attrNames (lib.filterAttrs
    (pattern: addresses: !lib.all own.isLoopback addresses || lib.any (own.pinCovers pattern) localNames)
    pins);
  nothingSaid = !accepted && saying == [ ] && zones == [ ];
  cures = ''
    One of these cures it:
      services.acme-ca.validation.resolvers = [ "ADDRESS" ];   the servers that know the names, which the CA then asks
      services.acme-ca.validation.hosts = { "NAME" = [ "ADDRESS" ]; };   or .hostAddress = "ADDRESS"; for this host's own names
      services.acme-ca.validation.acceptSystemResolver = true;   when the servers that it asks are known to be right'';

  # Services that answer DNS. One that a release lacks counts for nothing; nor does an option that has another name now, or was
  # taken away: those are not visible, and some cannot even be read.
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
    "technitium"
    "technitium-dns-server"
    "unbound"
  ];
  isHidden = option: (option.visible or true) != true;
  isEnabled = service:
    !isHidden (options.services.${service}.enable or { }) && (config.services.${service}.enable or false) == true;
  enabledDnsServers = lib.filter isEnabled dnsServers;

  asked = map own.serverAddress (if servers == [ ] then config.networking.nameservers or [ ] else servers);
  areAllPublic = asked != [ ] && !lib.any own.isPrivate asked;

  localNames = own.namesToDial (own.certificatesOf cfg.advertisedUrl config.security.acme.certs);
  uncovered = lib.filter
    (name: !lib.any (pattern: own.pinCovers pattern name) (lib.attrNames pins)
      && !lib.any (zone: own.zoneCovers zone.suffix name) zones)
    localNames;

  ownNames = map own.bareName ([ cfg.hostName ] ++ localNames);
  circular = lib.filter
    (server: lib.elem (own.serverAddress server) ownNames
      || own.serverName server != null && lib.elem (own.serverName server) ownNames)
    (servers ++ lib.concatMap (zone: zone.servers or [ ]) (resolver.zone or [ ]));

  # Those that the program does not understand, it refuses; here they cannot be judged.
  lifetime = name: own.seconds (cfg.settings.profiles.${name}.lifetime or "90d");
  profiles = lib.attrNames (cfg.settings.profiles or { });
  unclear = lib.filter (name: lifetime name == null) profiles;
  tooLong = lib.filter
    (name: lifetime name != null && lifetime name > cfg.lifetime.maxDays * 86400
      # Of that one the options speak.
      && !(name == "default" && lifetime name == cfg.lifetime.defaultDays * 86400))
    profiles;

  badNames = lib.filter
    (name: lib.elem name [ "intermediate.key" "intermediate.pass" "." ".." ] || builtins.match "[-_.A-Za-z0-9]+" name == null)
    (lib.attrNames cfg.credentials.extra);
  # Who else would have port 80.
  webServers = lib.filter (name: (config.services.${name}.enable or false) == true)
    [ "caddy" "h2o" "haproxy" "httpd" "lighttpd" "nginx" "traefik" ];
  passwordFile = builtins.match ".*[?&]password_file=([^&]*).*" store;
  inStore = own.secretsInStore "" cfg.settings
    ++ lib.optional (passwordFile != null && own.isInStore (lib.head passwordFile)) "store.url";
  url = own.parseUrl cfg.settings.server.url;
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
        assertion = cfg.plainPort != cfg.port;
        message = ''
          services.acme-ca.port and plainPort are both ${toString cfg.port}. One port cannot speak TLS and plain HTTP; 80 is what clients expect
          of plainPort.'';
      }
      {
        assertion = badNames == [ ];
        message = ''
          services.acme-ca.credentials.extra cannot have ${toString badNames}. intermediate.key and intermediate.pass are options of their own,
          and a name is made of letters, digits and -_. alone.'';
      }
      {
        assertion = inStore == [ ];
        message = ''
          services.acme-ca.settings names secrets in the Nix store, which everybody on the host can read: ${toString inStore}.
          Name the files in services.acme-ca.credentials.extra, and "/run/credentials/acme-ca.service/NAME" in settings.'';
      }
      {
        # Neither is shown, for the same reason.
        assertion = builtins.match ".*://[^/?]*:[^@]*@.*|.*[?&]password=.*" store == null;
        message = ''
          services.acme-ca.settings.store.url has a password in it, and ends in the Nix store, which everybody on the host can read.
          password_file=/run/credentials/acme-ca.service/NAME would do, with the file in services.acme-ca.credentials.extra.'';
      }
      {
        assertion = url != null && url.path == "" && url.host == lib.toLower cfg.hostName;
        message = ''
          services.acme-ca.settings.server.url is ${cfg.settings.server.url}, and hostName is ${cfg.hostName}. The host is said by hostName
          alone; only another port, where clients do not come to `port` directly, is for settings.'';
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
        assertion = unclear == [ ];
        message = ''
          services.acme-ca.settings.profiles has lifetimes that are no spans: ${toString unclear}. 90d, 12h or 1y would do.'';
      }
      {
        assertion = tooLong == [ ];
        message = ''
          services.acme-ca.settings.profiles has lifetimes beyond lifetime.maxDays (${toString cfg.lifetime.maxDays}): ${toString tooLong}.
          Shorten them, or raise lifetime.maxDays.'';
      }
      {
        assertion = !(nothingSaid && servers == [ ] && enabledDnsServers != [ ]);
        message = ''
          services.acme-ca runs on a host that serves DNS itself (services.${lib.concatStringsSep ", services." enabledDnsServers}), and nothing says how the CA
          looks names up without it. It would ask the servers of resolv.conf. When those do not know your zone, or wait for
          a certificate themselves, every validation fails, and services stay on self-signed certificates.
          ${cures}'';
      }
      {
        assertion = !(nothingSaid && areAllPublic);
        message = ''
          services.acme-ca would ask the name servers of ${if servers == [ ] then "networking.nameservers" else "validation.resolvers"}, which are all public (${toString asked}).
          They know nothing of an internal zone, so every validation in it would fail.
          ${cures}'';
      }
      {
        assertion = accepted || mayKnow servers || uncovered == [ ];
        message = ''
          This host orders certificates from its own CA, and nothing says where the CA finds these of their names:
          ${lines (map (name: "  ${name}") uncovered)}
          It would ask ${if servers == [ ] then "the servers of resolv.conf, which may be waiting for these very certificates" else "public servers, which know nothing of them"}.
          ${cures}'';
      }
      {
        assertion = circular == [ ];
        message = ''
          services.acme-ca.validation.resolvers, or a zone of settings, would have the CA ask itself: ${toString circular}.
          To find that server, or to trust it, the CA would need a certificate of its own that it has yet to issue. Give the server's
          address without TLS, or another server.'';
      }
    ];

    warnings =
      lib.optional (config.services.step-ca.enable or false) ''
        services.acme-ca and services.step-ca are both enabled. That is right while hosts move from one to the other; they need
        different ports, and the directory's URL has to be a new one (nixos/README.md).''
      ++ lib.optional (cfg.plainPort == 80 && webServers != [ ]) ''
        services.acme-ca.plainPort is 80, where services.${lib.concatStringsSep ", services." webServers} would listen as well. One of them will not start: take another
        port for it, or let the web server pass /root.pem and the like on.''
      ++ lib.optional (lib.any (lib.hasPrefix "/run/keys/") sources && cfg.credentials.afterUnits == [ ]) ''
        services.acme-ca.credentials has files in /run/keys, which are gone after a reboot until they are sent again. The service
        starts when they are there; name the unit that says so in credentials.afterUnits, such as "intermediate.key-key.service".'';
  };
}
