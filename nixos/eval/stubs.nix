# The options of NixOS that our modules define or read, in shape alone, and units as text. The part of `security.acme` is
# what matters here: the names of its units in each release, and that accounts and certificates are filed under hashes.
{ release, withDnsServices }:

{ config, lib, ... }:

let
  inherit (lib) mkOption types;
  option = type: default: mkOption { inherit type default; };
  text = types.listOf types.str;
  setOf = options: types.attrsOf (types.submodule { inherit options; });
  # The value of a line of a unit; lists are one line each.
  line = types.oneOf [ types.bool types.int types.str (types.listOf (types.oneOf [ types.int types.str ])) ];
  enable = { enable = option types.bool false; };

  unit = {
    description = option types.str "";
    after = option text [ ];
    before = option text [ ];
    wants = option text [ ];
    requires = option text [ ];
    wantedBy = option text [ ];
    requiredBy = option text [ ];
    onFailure = option text [ ];
    unitConfig = option (types.attrsOf line) { };
  };
  service = unit // {
    serviceConfig = option (types.attrsOf line) { };
    environment = option (types.attrsOf types.str) { };
    script = option types.str "";
    startAt = option types.str "";
    stopIfChanged = option types.bool true;
    reloadTriggers = option (types.listOf types.raw) [ ];
    restartTriggers = option (types.listOf types.raw) [ ];
  };

  toText = value: if value == true then "true" else if value == false then "false" else toString value;
  toLines = set: lib.concatStringsSep "" (lib.concatLists (lib.mapAttrsToList
    (key: value: map (one: "${key}=${toText one}\n") (if builtins.isList value then value else [ value ]))
    set));
  some = key: values: lib.optionalAttrs (values != [ ]) { ${key} = toString values; };
  unitText = kind: unit: lib.concatStringsSep "\n" [
    "[Unit]\n${toLines ({ Description = unit.description; } // some "After" unit.after // some "Before" unit.before
      // some "Wants" unit.wants // some "Requires" unit.requires // some "OnFailure" unit.onFailure // unit.unitConfig)}"
    kind
  ];
  ofService = unit: unitText
    "[Service]\n${toLines (lib.optionalAttrs (unit.environment != { }) {
      Environment = lib.mapAttrsToList (key: value: "\"${key}=${value}\"") unit.environment;
    } // lib.optionalAttrs (unit.script != "") { ExecStart = "/bin/sh -c true"; } // unit.serviceConfig)}"
    unit;
  ofSocket = unit: unitText
    "[Socket]\n${toLines ({ ListenStream = unit.listenStreams; } // unit.socketConfig)}"
    unit;
  ofTimer = unit: unitText "[Timer]\n${toLines unit.timerConfig}" unit;
  units = kind: render: set: lib.mapAttrs' (name: unit: lib.nameValuePair "${name}.${kind}" { text = render unit; }) set;

  # security.acme. A certificate inherits what the defaults say.
  certificate = isDefaults: { ... }: {
    options = lib.mapAttrs
      (name: o: if isDefaults then o else o // { default = config.security.acme.defaults.${name}; })
      {
        server = option (types.nullOr types.str) "https://acme-v02.api.letsencrypt.org/directory";
        email = option (types.nullOr types.str) null;
        keyType = option types.str "ec256";
        webroot = option (types.nullOr types.str) null;
        listenHTTP = option (types.nullOr types.str) null;
        dnsProvider = option (types.nullOr types.str) null;
        ocspMustStaple = option types.bool false;
        profile = option (types.nullOr types.str) null;
        renewInterval = option types.str "daily";
        validMinDays = option (types.nullOr types.int) (if lib.versionAtLeast release "26.05" then null else 30);
      };
  };
  named = { name, ... }: {
    options = {
      domain = option types.str name;
      extraDomainNames = option text [ ];
    };
  };
  acme = config.security.acme;
  split = lib.versionAtLeast release "25.11";
  hash = text: builtins.substring 0 20 (builtins.hashString "sha256" text);
  order = name: cert: {
    description = "Order ${name}";
    after = [ "network-online.target" "nss-lookup.target" ];
    serviceConfig = {
      Type = "oneshot";
      User = "acme";
      # As nixpkgs has it, without a Restart= that would make use of it.
      RestartSec = 900;
      StateDirectory = [
        "acme/.lego/accounts/${hash "${toString cert.server} ${cert.keyType} ${cert.email}"}"
        "acme/.lego/${name}/${hash "${toString cert.server} ${toString cert.dnsProvider} ${cert.keyType}"}"
      ];
    };
    script = "lego";
  };
  each = prefix: make: lib.mapAttrs' (name: cert: lib.nameValuePair "${prefix}${name}" (make name cert)) acme.certs;

  nginxHosts = lib.filterAttrs (_: host: host.enableACME) config.services.nginx.virtualHosts;
in
{
  options = {
    assertions = option (types.listOf types.raw) [ ];
    warnings = option text [ ];

    environment.etc = option (setOf { source = mkOption { type = types.raw; }; }) { };
    environment.systemPackages = option (types.listOf types.raw) [ ];
    users.users = option (types.attrsOf (types.attrsOf types.raw)) { };
    users.groups = option (types.attrsOf (types.attrsOf types.raw)) { };

    networking = {
      hostName = option types.str "host";
      fqdnOrHostName = option types.str "host.mgmt.lan";
      nameservers = option text [ ];
      hosts = option (types.attrsOf text) { };
      firewall = {
        enable = option types.bool true;
        allowedTCPPorts = option (types.listOf types.port) [ ];
        allowedTCPPortRanges = option (types.listOf (types.attrsOf types.port)) [ ];
        interfaces = option (types.attrsOf types.raw) { };
      };
    };

    security.pki.certificateFiles = option (types.listOf types.path) [ ];
    security.acme = {
      acceptTerms = option types.bool false;
      defaults = option (types.submodule (certificate true)) { };
      certs = option (types.attrsOf (types.submodule [ (certificate false) named ])) { };
    };

    systemd = {
      package = mkOption { type = types.raw; default = { outPath = "/usr"; }; };
      services = option (setOf service) { };
      sockets = option (setOf (unit // { listenStreams = option text [ ]; socketConfig = option (types.attrsOf line) { }; })) { };
      timers = option (setOf (unit // { timerConfig = option (types.attrsOf line) { }; })) { };
      tmpfiles.rules = option text [ ];
      units = option (types.attrsOf types.raw) { };
    };

    services = {
      step-ca = enable;
      nginx = enable // {
        virtualHosts = option (setOf { enableACME = option types.bool false; serverAliases = option text [ ]; }) { };
      };
    } // lib.optionalAttrs withDnsServices {
      adguardhome = enable;
      unbound = enable;
      bind = enable;
      # Taken away, as mkRemovedOptionModule does it.
      kresd.enable = mkOption { visible = false; apply = _: throw "services.kresd can no longer be used"; };
    };
  };

  config = {
    security.acme.certs = lib.mapAttrs
      (_: host: { extraDomainNames = host.serverAliases; webroot = "/var/lib/acme/acme-challenge"; })
      nginxHosts;

    systemd.services =
      lib.optionalAttrs split (each "acme-" (name: _: { description = "Fallback of ${name}"; serviceConfig.Type = "oneshot"; }))
      // each (if split then "acme-order-renew-" else "acme-") order;
    systemd.timers = each (if split then "acme-renew-" else "acme-") (name: cert: {
      description = "Renew ${name}";
      timerConfig = {
        OnCalendar = cert.renewInterval;
        RandomizedDelaySec = "24h";
        AccuracySec = "86400s";
      };
    });

    systemd.units = units "service" ofService config.systemd.services // units "socket" ofSocket config.systemd.sockets
      // units "timer" ofTimer config.systemd.timers;
  };
}
