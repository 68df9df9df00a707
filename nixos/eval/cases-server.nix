# The server: its unit, its credentials, its configuration.
let
  inherit (import ./common.nix) url ca server orders resolvers force serve settings order ours warnings elem has;
in
{
  "01 disabled modules change nothing" = {
    modules = [ (orders [ "wiki.mgmt.lan" ]) ];
    shows = config: {
      units = ours (builtins.attrNames config.systemd.services ++ builtins.attrNames config.systemd.sockets);
      users = config.users.users ? acme-ca || config.users.groups ? acme-ca;
      etc = config.environment.etc ? "acme-ca/acme-ca.toml";
      ports = config.networking.firewall.allowedTCPPorts;
      roots = config.security.pki.certificateFiles;
      inherit (config.security.acme.certs."wiki.mgmt.lan") server;
      restart = has "Restart" (order "wiki.mgmt.lan" config).serviceConfig;
      ours = warnings config;
    };
    expect = {
      units = [ ];
      users = false;
      etc = false;
      ports = [ ];
      roots = [ ];
      server = "https://acme-v02.api.letsencrypt.org/directory";
      restart = false;
      ours = [ ];
    };
  };

  "02 the least server is one service and one socket" = {
    modules = [ server ];
    shows = config: {
      units = ours (builtins.attrNames config.systemd.services ++ builtins.attrNames config.systemd.sockets);
      streams = config.systemd.sockets.acme-ca.listenStreams;
      inherit (config.services.acme-ca) advertisedUrl;
      runsThePackage = (serve config).serviceConfig.ExecStart
        == "${config.services.acme-ca.package}/bin/acme-ca serve --config /etc/acme-ca/acme-ca.toml";
      judgesThenReloads = map (line: builtins.match "[^ ]*/bin/(.*)" line) (serve config).serviceConfig.ExecReload;
      etc = config.environment.etc ? "acme-ca/acme-ca.toml";
      inherit ((serve config).serviceConfig) Type WatchdogSec Restart RestartSec;
      unlimited = (serve config).unitConfig.StartLimitIntervalSec;
      online = elem "network-online.target" (serve config).after;
      reloads = builtins.length (serve config).reloadTriggers;
      inherit ((settings config).server) url listen;
    };
    expect = {
      units = [ "acme-ca" "acme-ca" ];
      streams = [ "[::]:443" ];
      advertisedUrl = url;
      runsThePackage = true;
      judgesThenReloads = [
        [ "acme-ca check-config --file-only --config /etc/acme-ca/acme-ca.toml" ]
        [ "kill -HUP $MAINPID" ]
      ];
      etc = true;
      Type = "notify";
      WatchdogSec = 30;
      Restart = "on-failure";
      RestartSec = 5;
      unlimited = 0;
      online = false;
      reloads = 1;
      url = "https://ca.mgmt.lan";
      listen = [ "[::]:443" ];
    };
  };
  "02 another port is in the URL, and capitals are not" = {
    modules = [ server (ca { hostName = force "CA.mgmt.lan"; port = force 8443; }) ];
    shows = config: { inherit (config.services.acme-ca) advertisedUrl; inherit ((settings config).server) url; };
    expect = { advertisedUrl = "https://ca.mgmt.lan:8443/acme/directory"; url = "https://ca.mgmt.lan:8443"; };
  };
  "02 an address for the CA's name is refused" = {
    modules = [ server (ca { hostName = force "192.168.1.10"; }) ];
    refused = [ "services.acme-ca.hostName" "DNS name" ];
  };
  "02 an empty label in the CA's name is refused" = {
    modules = [ server (ca { hostName = force "ca..mgmt.lan"; }) ];
    refused = [ "services.acme-ca.hostName" "DNS name" ];
  };
  "02 plain HTTP has a socket of its own" = {
    modules = [ server (ca { plainPort = 80; }) ];
    shows = config: {
      inherit (config.systemd.sockets.acme-ca-plain) listenStreams socketConfig;
      required = elem "acme-ca-plain.socket" (serve config).requires;
      inherit ((settings config).server) plain_listen;
    };
    expect = {
      listenStreams = [ "[::]:80" ];
      socketConfig = { FileDescriptorName = "plain"; FreeBind = true; Service = "acme-ca.service"; };
      required = true;
      plain_listen = [ "[::]:80" ];
    };
  };
  "02 an address that is not there yet can be listened at" = {
    modules = [ server (ca { listenAddresses = [ "192.168.1.10" "[fd00::10]" ]; }) ];
    shows = config: { inherit (config.systemd.sockets.acme-ca) listenStreams socketConfig; };
    expect = {
      listenStreams = [ "192.168.1.10:443" "[fd00::10]:443" ];
      socketConfig = { FileDescriptorName = "acme"; FreeBind = true; };
    };
  };
  "02 one port for TLS and plain HTTP is refused" = {
    modules = [ server (ca { plainPort = 443; }) ];
    refused = [ "services.acme-ca.port and plainPort are both 443" ];
  };
  "02 a web server at the port for plain HTTP is warned of" = {
    modules = [ server (ca { plainPort = 80; }) { services.nginx.enable = true; } ];
    shows = warnings;
    expect = [ "services.acme-ca.plainPort" ];
  };
  "02 a web server beside another port is not" = {
    modules = [ server (ca { plainPort = 8080; }) { services.nginx.enable = true; } ];
    shows = warnings;
    expect = [ ];
  };
  "02 the server's module stands alone" = {
    imports = [ ../server.nix ];
    modules = [ server ];
    shows = config: config.services.acme-ca.enable;
    expect = true;
  };
  "02 the advertised URL cannot be set" = {
    modules = [ server (ca { advertisedUrl = "https://x.lan/acme/directory"; }) ];
    shows = config: config.services.acme-ca.advertisedUrl;
    refused = [ "services.acme-ca.advertisedUrl" "read-only" ];
  };

  "03 a key as a path literal is refused" = {
    modules = [ server (ca { credentials.intermediateKey = ./cases.nix; }) ];
    refused = [ "services.acme-ca.credentials.intermediateKey" "not in the Nix store" ];
  };
  "03 a key in the store is refused" = {
    modules = [ server (ca { credentials.intermediateKey = "${builtins.storeDir}/00000000000000000000000000000000-x/key"; }) ];
    refused = [ "services.acme-ca.credentials.intermediateKey" "not in the Nix store" ];
  };
  "03 a key at a relative path is refused" = {
    modules = [ server (ca { credentials.intermediateKey = "intermediate.key"; }) ];
    refused = [ "services.acme-ca.credentials.intermediateKey" "absolute path" ];
  };
  "03 a passphrase in the store is refused" = {
    modules = [ server (ca { credentials.intermediatePassphrase = ./cases.nix; }) ];
    refused = [ "services.acme-ca.credentials.intermediatePassphrase" "not in the Nix store" ];
  };
  "03 another secret in the store is refused" = {
    modules = [ server (ca { credentials.extra."ntfy.token" = ./cases.nix; }) ];
    refused = [ "services.acme-ca.credentials.extra" "not in the Nix store" ];
  };

  "03 the store is the store however its path is written" = {
    modules = [ server (ca { credentials.intermediateKey = force "/run/..${builtins.dirOf builtins.storeDir}/.//${baseNameOf builtins.storeDir}/x/key"; }) ];
    refused = [ "services.acme-ca.credentials.intermediateKey" "not in the Nix store" ];
  };
  "03 the store itself is no secret" = {
    modules = [ server (ca { credentials.intermediateKey = force builtins.storeDir; }) ];
    refused = [ "services.acme-ca.credentials.intermediateKey" "not in the Nix store" ];
  };
  "03 a path that only looks like the store passes" = {
    modules = [ server (ca { credentials.intermediateKey = force "${builtins.storeDir}/../key"; }) ];
    shows = config: (serve config).serviceConfig.LoadCredential;
    expect = [ "intermediate.key:${builtins.storeDir}/../key" ];
  };
  "03 secrets of settings in the store are refused, each with its key" = {
    modules = [
      server
      resolvers
      (ca {
        settings = {
          ca.issuer = [{ certificate = "/etc/i.pem"; key = ./cases.nix; passphrase_file = "${./cases.nix}"; }];
          alerts.sink = [
            { type = "ntfy"; url = "https://n.mgmt.lan"; topic = "x"; token_file = ./cases.nix; }
            { type = "smtp"; password_file = "${builtins.storeDir}/x/password"; }
          ];
        };
      })
    ];
    refused = [
      "services.acme-ca.settings names secrets in the Nix store"
      "alerts.sink.token_file alerts.sink.password_file ca.issuer.key ca.issuer.passphrase_file."
    ];
  };
  "03 secrets of settings elsewhere pass" = {
    modules = [ server (ca { settings.alerts.sink = [{ type = "ntfy"; token_file = "/run/credentials/acme-ca.service/ntfy"; }]; }) ];
    shows = config: builtins.length (settings config).alerts.sink;
    expect = 1;
  };
  "03 a password in the store's URL is refused" = {
    modules = [ server (ca { settings.store.url = "postgres://ca:hunter2@db.mgmt.lan/ca"; }) ];
    refused = [ "services.acme-ca.settings.store.url has a password in it" ];
  };
  "03 a password behind the store's URL is refused" = {
    modules = [ server (ca { settings.store.url = "postgres://ca@db.mgmt.lan/ca?password=hunter2"; }) ];
    refused = [ "services.acme-ca.settings.store.url has a password in it" ];
  };
  "03 a password file in the store is refused" = {
    modules = [ server (ca { settings.store.url = "postgres://ca@db.mgmt.lan:5432/ca?password_file=${./cases.nix}"; }) ];
    refused = [ "services.acme-ca.settings names secrets in the Nix store" "store.url." ];
  };
  "03 a password file elsewhere passes" = {
    modules = [ server (ca { settings.store.url = "postgres://ca@db.mgmt.lan:5432/ca?password_file=/run/credentials/acme-ca.service/pg"; }) ];
    shows = config: has "ReadWritePaths" (serve config).serviceConfig;
    expect = false;
  };

  "04 the key alone is one credential" = {
    modules = [ server ];
    shows = config: {
      plain = (serve config).serviceConfig.LoadCredential;
      encrypted = has "LoadCredentialEncrypted" (serve config).serviceConfig;
      key = map (issuer: issuer.key) (settings config).ca.issuer;
      passphrase = map (has "passphrase_file") (settings config).ca.issuer;
    };
    expect = {
      plain = [ "intermediate.key:/run/secrets/intermediate.key" ];
      encrypted = false;
      key = [ "/run/credentials/acme-ca.service/intermediate.key" ];
      passphrase = [ false ];
    };
  };
  "04 key, passphrase and a token are three" = {
    modules = [
      server
      (ca { credentials = { intermediatePassphrase = "/run/secrets/pass"; extra."ntfy.token" = "/run/secrets/token"; }; })
    ];
    shows = config: {
      plain = (serve config).serviceConfig.LoadCredential;
      passphrase = map (issuer: issuer.passphrase_file) (settings config).ca.issuer;
    };
    expect = {
      plain = [
        "intermediate.key:/run/secrets/intermediate.key"
        "intermediate.pass:/run/secrets/pass"
        "ntfy.token:/run/secrets/token"
      ];
      passphrase = [ "/run/credentials/acme-ca.service/intermediate.pass" ];
    };
  };
  "04 the intermediate's own credentials cannot be replaced" = {
    modules = [ server (ca { credentials.extra = { "intermediate.key" = "/run/other"; "a.pass" = "/run/pass"; }; }) ];
    refused = [ "services.acme-ca.credentials.extra cannot have intermediate.key." ];
  };
  "04 names that systemd would read otherwise are refused" = {
    modules = [ server (ca { credentials.extra = { "a:b" = "/run/a"; "a/b" = "/run/b"; "a b" = "/run/c"; }; }) ];
    refused = [ "services.acme-ca.credentials.extra cannot have a b a/b a:b." ];
  };
  "04 encrypted credentials are loaded as such" = {
    modules = [ server (ca { credentials = { encrypted = true; afterUnits = [ "x-key.service" ]; }; }) ];
    shows = config: {
      plain = has "LoadCredential" (serve config).serviceConfig;
      encrypted = (serve config).serviceConfig.LoadCredentialEncrypted;
      waits = elem "x-key.service" (serve config).after && elem "x-key.service" (serve config).wants;
    };
    expect = { plain = false; encrypted = [ "intermediate.key:/run/secrets/intermediate.key" ]; waits = true; };
  };

  "05 the configuration names no secret's source" = {
    modules = [ server (ca { credentials.intermediatePassphrase = "/run/secrets/pass"; }) ];
    shows = config: builtins.match ".*/run/secrets.*" (builtins.toJSON (settings config)) != null;
    expect = false;
  };

  "06 the sandbox is whole" = {
    modules = [ server ];
    shows = config: builtins.intersectAttrs (import ../unit.nix) (serve config).serviceConfig;
    # Written out here again, so that a line that gets lost there is missed.
    expect = {
      User = "acme-ca";
      Group = "acme-ca";
      StateDirectory = "acme-ca";
      StateDirectoryMode = "0700";
      UMask = "0077";
      LimitCORE = 0;
      ProtectSystem = "strict";
      ProtectHome = true;
      PrivateTmp = true;
      PrivateDevices = true;
      PrivateUsers = true;
      PrivateIPC = true;
      ProtectClock = true;
      ProtectHostname = true;
      ProtectKernelLogs = true;
      ProtectKernelModules = true;
      ProtectKernelTunables = true;
      ProtectControlGroups = true;
      ProtectProc = "invisible";
      ProcSubset = "pid";
      RemoveIPC = true;
      NoNewPrivileges = true;
      CapabilityBoundingSet = "";
      AmbientCapabilities = "";
      LockPersonality = true;
      MemoryDenyWriteExecute = true;
      RestrictRealtime = true;
      RestrictSUIDSGID = true;
      RestrictNamespaces = true;
      RestrictAddressFamilies = [ "AF_INET" "AF_INET6" "AF_UNIX" "AF_NETLINK" ];
      SystemCallArchitectures = "native";
      SystemCallFilter = [ "@system-service" "~@privileged" "~@resources" ];
      SystemCallErrorNumber = "EPERM";
      DevicePolicy = "closed";
      KeyringMode = "private";
    };
  };
  "06 addresses are not restricted" = {
    modules = [ server ];
    shows = config: has "IPAddressDeny" (serve config).serviceConfig;
    expect = false;
  };

  "07 a misspelt option is refused" = {
    modules = [ server (ca { polcy.allow = [ "x" ]; }) ];
    refused = [ "services.acme-ca.polcy" "does not exist" ];
  };
  "07 a key of settings that we do not know passes" = {
    modules = [ server (ca { settings.probe.interval = "10m"; }) ];
    shows = config: (settings config).probe;
    expect = { interval = "10m"; };
  };

  "08 null in settings is refused" = {
    modules = [ server (ca { settings.validation.patience = null; }) ];
    refused = [ "services.acme-ca.settings" "null" ];
  };
  "08 tables and lists of tables nest, and settings win" = {
    modules = [
      server
      resolvers
      (ca {
        validation.hosts."dns.mgmt.lan" = [ "192.168.1.10" ];
        settings = {
          resolver.timeout = "5s";
          resolver.pins."wiki.mgmt.lan" = [ "192.168.1.11" ];
          resolver.zone = [{ suffix = "corp.example"; servers = [ "10.0.0.53" ]; }];
          profiles.short.lifetime = "7d";
          store.url = "sqlite:/srv/ca.db";
          server.status_listen = [ "127.0.0.1:9180" ];
          limits.enabled = true;
          renewal.warn = 0.75;
        };
      })
    ];
    shows = config: { inherit (settings config) resolver profiles store limits renewal; };
    expect = {
      resolver = {
        servers = [ "192.168.1.10" ];
        timeout = "5s";
        pins = { "dns.mgmt.lan" = [ "192.168.1.10" ]; "wiki.mgmt.lan" = [ "192.168.1.11" ]; };
        zone = [{ suffix = "corp.example"; servers = [ "10.0.0.53" ]; }];
      };
      profiles = { default.lifetime = "90d"; short.lifetime = "7d"; };
      store.url = "sqlite:/srv/ca.db";
      limits.enabled = true;
      renewal.warn = 0.75;
    };
  };
  "08 an empty policy is refused" = {
    modules = [ server (ca { settings.policy.allow = [ ]; }) ];
    refused = [ "services.acme-ca.policy.allow" ];
  };
  "08 a default lifetime beyond the longest is refused" = {
    modules = [ server (ca { lifetime.defaultDays = 120; }) ];
    refused = [ "services.acme-ca.lifetime.defaultDays (120)" "maxDays (90)" ];
  };
  "08 a profile beyond the longest lifetime is refused" = {
    modules = [ server (ca { settings.profiles = { long.lifetime = "100d"; short.lifetime = "36h"; }; }) ];
    refused = [ "lifetime.maxDays (90)" ": long." ];
  };

  "08 years, months, sums and what is a little too long are refused" = {
    modules = [
      server
      (ca {
        settings.profiles = {
          a.lifetime = "1y";
          b.lifetime = "12months";
          c.lifetime = "89d 25h";
          d.lifetime = "2161h";
          e.lifetime = "90.5 days";
          f.lifetime = "12weeks5d24h";
        };
      })
    ];
    refused = [ "lifetime.maxDays (90)" ": a b c d e." ];
  };
  "08 an absent lifetime is the program's" = {
    modules = [ server (ca { lifetime = { defaultDays = 20; maxDays = 30; }; settings.profiles.clients.client_auth = true; }) ];
    refused = [ "lifetime.maxDays (30)" ": clients." ];
  };
  "08 what is no span is refused" = {
    modules = [ server (ca { settings.profiles = { a.lifetime = "long"; b.lifetime = "90"; c.lifetime = "1M 2w"; }; }) ];
    refused = [ "no spans: a b." ];
  };

  "22 the server opens nothing by itself" = {
    modules = [ server (ca { plainPort = 80; }) ];
    shows = config: config.networking.firewall.allowedTCPPorts;
    expect = [ ];
  };
  "22 openFirewall opens the server's ports" = {
    modules = [ server (ca { openFirewall = true; plainPort = 80; }) ];
    shows = config: builtins.sort builtins.lessThan config.networking.firewall.allowedTCPPorts;
    expect = [ 80 443 ];
  };
  "23 both modules can be imported beside the whole" = {
    imports = [ ../default.nix ../client.nix ../server.nix ];
    modules = [ server ];
    shows = config: config.services.acme-ca.client.enable;
    expect = false;
  };
  "23 keys that are gone after a reboot are warned of" = {
    modules = [ server (ca { credentials.extra.token = "/run/keys/token"; }) ];
    shows = warnings;
    expect = [ "services.acme-ca.credentials" ];
  };
  "25 the package is made of files that are there, without an OpenSSL of its own" = {
    modules = [ server ];
    shows = config:
      let inherit (config.services.acme-ca.package) attributes; in
      {
        inherit (attributes) version buildNoDefaultFeatures;
        sources = builtins.pathExists (attributes.src + "/Cargo.toml") && builtins.pathExists attributes.cargoLock.lockFile;
      };
    expect = {
      inherit ((builtins.fromTOML (builtins.readFile ../../Cargo.toml)).workspace.package) version;
      buildNoDefaultFeatures = true;
      sources = true;
    };
    stubOnly = true; # the sets of files of a nixpkgs' lib need Nix 2.14
  };
  "25 an overlay is not needed, and a package of one's own is used" = {
    modules = [ server (ca { package = { type = "derivation"; outPath = "/nix/store/00000000000000000000000000000000-mine"; name = "mine"; }; checkConfig = false; }) ];
    shows = config: (serve config).serviceConfig.ExecStart;
    expect = "/nix/store/00000000000000000000000000000000-mine/bin/acme-ca serve --config /etc/acme-ca/acme-ca.toml";
  };

  "more: a backup copies the store" = {
    modules = [ server (ca { backup.enable = true; }) ];
    shows = config: {
      inherit (config.systemd.services.acme-ca-backup) startAt;
      server = has "ReadWritePaths" (serve config).serviceConfig;
      inherit (config.systemd.services.acme-ca-backup.serviceConfig) User ReadWritePaths PrivateNetwork;
    };
    expect = { startAt = "daily"; server = false; User = "acme-ca"; ReadWritePaths = [ "/var/backup/acme-ca" ]; PrivateNetwork = true; };
    release = "26.05";
  };
  "more: a backup of PostgreSQL is refused" = {
    modules = [ server (ca { backup.enable = true; settings.store.url = "postgres://ca@localhost/ca"; }) ];
    refused = [ "services.acme-ca.backup copies a SQLite file" ];
  };
  "more: a backup where the unit cannot write is refused" = {
    modules = [ server (ca { backup = { enable = true; directory = "/home/backup"; }; }) ];
    refused = [ "services.acme-ca.backup.directory is /home/backup" "cannot write below /home" ];
  };
  "more: a backup at a path with a blank is refused" = {
    modules = [ server (ca { backup = { enable = true; directory = "/srv/my backup"; }; }) ];
    refused = [ "services.acme-ca.backup.directory is /srv/my backup" ];
  };
  "more: a store elsewhere can be written, by the server and for its copy" = {
    modules = [ server (ca { backup.enable = true; settings.store.url = "sqlite:///srv/ca/ca.db"; }) ];
    shows = config: map
      (name: config.systemd.services.${name}.serviceConfig.ReadWritePaths)
      [ "acme-ca" "acme-ca-backup" ];
    expect = [ [ "/srv/ca" ] [ "/var/backup/acme-ca" "/srv/ca" ] ];
  };
  "more: a store where nothing can be written is refused" = {
    modules = [ server (ca { settings.store.url = "sqlite:/home/ca/ca.db"; }) ];
    refused = [ "services.acme-ca.settings.store.url is sqlite:/home/ca/ca.db" "cannot write below /home" ];
  };
  "more: a store that is no absolute path is refused" = {
    modules = [ server (ca { settings.store.url = "sqlite:ca.db"; }) ];
    refused = [ "services.acme-ca.settings.store.url is sqlite:ca.db" ];
  };
}
