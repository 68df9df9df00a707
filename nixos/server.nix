# services.acme-ca: the server. Its options are in options.nix; what is refused, and why, is in guards.nix.
{ config, lib, pkgs, ... }:

let
  own = import ./lib.nix { inherit lib; };
  cfg = config.services.acme-ca;
  inherit (lib) mkDefault mkIf;

  configFile = "/etc/acme-ca/acme-ca.toml";
  credential = name: "/run/credentials/acme-ca.service/${name}";
  credentials = {
    "intermediate.key" = cfg.credentials.intermediateKey;
  } // lib.optionalAttrs (cfg.credentials.intermediatePassphrase != null) {
    "intermediate.pass" = cfg.credentials.intermediatePassphrase;
  } // cfg.credentials.extra;

  localCertificates = own.certificatesOf cfg.advertisedUrl config.security.acme.certs;
  localNames = own.namesToDial localCertificates;
  # acme-ca does not read /etc/hosts, where `networking.hosts` ends. What it says of our names is pinned instead.
  hostsOf = name: lib.filter (address: !own.isLoopback address && lib.elem name (map own.bareName config.networking.hosts.${address}))
    (lib.attrNames config.networking.hosts);
  pins =
    lib.filterAttrs (_: addresses: addresses != [ ]) (lib.genAttrs localNames (name: hostsOf (own.bareName name)))
    // lib.optionalAttrs (cfg.validation.hostAddress != null)
      (lib.genAttrs (localNames ++ [ cfg.hostName ]) (_: [ cfg.validation.hostAddress ]))
    // cfg.validation.hosts;

  beyond = own.beyondState (own.sqliteFile (cfg.settings.store.url or ""));
  address = listen: port: "${listen}:${toString port}";
  written = (pkgs.formats.toml { }).generate "acme-ca.toml" cfg.settings;
  # Certificates that are in the store, where the build can look at them.
  ca = cfg.settings.ca or { };
  certificates = map (file: "${file}") (lib.filter
    (file: builtins.isPath file || builtins.isString file && own.isInStore file)
    (lib.optional (ca ? root) ca.root
      ++ lib.concatMap (issuer: lib.optional (issuer ? certificate) issuer.certificate ++ issuer.alternates or [ ]) (ca.issuer or [ ])));
  # The keys are on the host alone, so the build judges the file without them. That none is in a certificate's file, it sees.
  judged = pkgs.runCommand "acme-ca.toml" { } ''
    for file in ${toString certificates}; do
      case "$(cat $file)" in
        *"PRIVATE KEY"*)
          echo "services.acme-ca: the certificate $file has a private key in it, which everybody can read in the store" >&2
          exit 1
          ;;
      esac
    done
    cp ${written} acme-ca.toml
    ${lib.optionalString canJudge "${cfg.package}/bin/acme-ca check-config --file-only --config acme-ca.toml"}
    cp acme-ca.toml $out
  '';
  canJudge = cfg.checkConfig && pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;
  # A reload does not reach these.
  fixed = [ (cfg.settings.server or { }) (cfg.settings.store or { }) cfg.listenAddresses ];
in
{
  imports = [ ./options.nix ./guards.nix ./backup.nix ];

  config = mkIf cfg.enable {
    services.acme-ca.settings = {
      server = {
        url = mkDefault (own.baseUrl cfg.hostName cfg.port);
        listen = mkDefault (map (listen: address listen cfg.port) cfg.listenAddresses);
        plain_listen = mkIf (cfg.plainPort != null)
          (mkDefault (map (listen: address listen cfg.plainPort) cfg.listenAddresses));
      };
      ca = {
        root = mkDefault "${cfg.rootCertificateFile}";
        issuer = mkDefault [
          ({
            certificate = "${cfg.intermediateCertificateFile}";
            key = credential "intermediate.key";
          } // lib.optionalAttrs (cfg.credentials.intermediatePassphrase != null) {
            passphrase_file = credential "intermediate.pass";
          })
        ];
      };
      store.url = mkDefault "sqlite:/var/lib/acme-ca/ca.db";
      resolver = {
        servers = mkIf (cfg.validation.resolvers != [ ]) (mkDefault cfg.validation.resolvers);
        pins = lib.mapAttrs (_: mkDefault) pins;
      };
      policy = {
        allow = mkIf (cfg.policy.allow != [ ]) (mkDefault cfg.policy.allow);
        deny = mkIf (cfg.policy.deny != [ ]) (mkDefault cfg.policy.deny);
      };
      profiles.default.lifetime = mkDefault "${toString cfg.lifetime.defaultDays}d";
    };

    environment.etc."acme-ca/acme-ca.toml".source = judged;
    environment.systemPackages = [ cfg.package ];

    users.users.acme-ca = {
      isSystemUser = true;
      group = "acme-ca";
      home = "/var/lib/acme-ca";
      description = "The certificate authority";
    };
    users.groups.acme-ca = { };

    networking.firewall.allowedTCPPorts =
      lib.optionals cfg.openFirewall ([ cfg.port ] ++ lib.optional (cfg.plainPort != null) cfg.plainPort);

    # FreeBind, because sockets.target comes before the network: an address of `listenAddresses` may not be there yet.
    systemd.sockets = {
      acme-ca = {
        description = "ACME over TLS";
        wantedBy = [ "sockets.target" ];
        listenStreams = map (listen: address listen cfg.port) cfg.listenAddresses;
        socketConfig = { FileDescriptorName = "acme"; FreeBind = true; };
      };
    } // lib.optionalAttrs (cfg.plainPort != null) {
      acme-ca-plain = {
        description = "Root, issuers and CRLs of the CA over plain HTTP";
        wantedBy = [ "sockets.target" ];
        listenStreams = map (listen: address listen cfg.plainPort) cfg.listenAddresses;
        socketConfig = { FileDescriptorName = "plain"; FreeBind = true; Service = "acme-ca.service"; };
      };
    };

    systemd.services = lib.mapAttrs'
      (name: _: lib.nameValuePair "${own.orderUnit}${name}" {
        # An order needs a CA that answers.
        after = [ "acme-ca.service" ];
        wants = [ "acme-ca.service" ];
      })
      localCertificates
    // {
      acme-ca = rec {
        description = "Private ACME certificate authority";
        wantedBy = [ "multi-user.target" ];
        # Not network-online.target: it listens without a network, and what a network is missing for is tried again.
        after = [ "network.target" "time-sync.target" ] ++ requires ++ cfg.credentials.afterUnits;
        wants = [ "time-sync.target" ] ++ cfg.credentials.afterUnits;
        requires = [ "acme-ca.socket" ] ++ lib.optional (cfg.plainPort != null) "acme-ca-plain.socket";
        # The sockets stay open while it is restarted: clients wait instead of being refused.
        stopIfChanged = false;
        reloadTriggers = [ config.environment.etc."acme-ca/acme-ca.toml".source ];
        restartTriggers = [ (builtins.hashString "sha256" (builtins.unsafeDiscardStringContext (builtins.toJSON fixed))) ];
        # A credential that is not there yet fails the start (243/CREDENTIALS), as often as it has to.
        unitConfig.StartLimitIntervalSec = 0;
        serviceConfig = import ./unit.nix // {
          Type = "notify";
          ExecStart = "${cfg.package}/bin/acme-ca serve --config ${configFile}";
          # The first makes `systemctl reload` fail and say why. It judges the file alone: systemd shows credentials to the main
          # process, not to those of a reload. The main process judges everything, and keeps what it has when that is better.
          ExecReload = [
            "${cfg.package}/bin/acme-ca check-config --file-only --config ${configFile}"
            "${pkgs.coreutils}/bin/kill -HUP $MAINPID"
          ];
          WatchdogSec = 30;
          Restart = "on-failure";
          RestartSec = 5;
          # A store elsewhere is there already, with that directory as its user's own.
          ReadWritePaths = mkIf (beyond != [ ]) beyond;
          ${if cfg.credentials.encrypted then "LoadCredentialEncrypted" else "LoadCredential"} =
            lib.mapAttrsToList (name: path: "${name}:${path}") credentials;
        };
      };
    };
  };
}
