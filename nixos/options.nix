# The options of services.acme-ca: few, and typed where a mistake is likely. Every other key of the configuration (README.md,
# "Configuration reference") goes into `settings`.
{ config, lib, pkgs, ... }:

let
  own = import ./lib.nix { inherit lib; };
  cfg = config.services.acme-ca;
  inherit (lib) literalExpression mkEnableOption mkOption types;
in
{
  options.services.acme-ca = {
    enable = mkEnableOption "acme-ca, a private ACME certificate authority";

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The package with `acme-ca` and `ca-ctl`.";
    };

    hostName = mkOption {
      type = types.addCheck types.str own.isHostName // { name = "hostName"; description = "DNS name"; };
      example = "ca.mgmt.lan";
      description = "The name under which clients reach the CA. It is on the CA's own certificate, and part of every URL.";
    };

    port = mkOption {
      type = types.port;
      default = 8443;
      description = ''
        The port for ACME over TLS. systemd listens, so 443 needs no capability. It is part of the URL, which is for ever:
        another port makes every client register and order anew.
      '';
    };

    plainPort = mkOption {
      type = types.nullOr types.port;
      default = null;
      example = 80;
      description = "The port for the root, the issuers' certificates and their CRLs over plain HTTP. Null: none.";
    };

    listenAddresses = mkOption {
      type = types.listOf types.str;
      default = [ "[::]" ];
      example = [ "192.168.1.10" "[fd00::10]" ];
      description = "Where the sockets listen; IPv6 addresses in brackets. `[::]` takes IPv4 too.";
    };

    advertisedUrl = mkOption {
      type = types.str;
      readOnly = true;
      # Of the merged settings: what is between clients and server may have another port.
      default = lib.removeSuffix "/" cfg.settings.server.url + "/acme/directory";
      defaultText = literalExpression ''"https://HOSTNAME[:PORT]/acme/directory"'';
      description = "The directory: what clients are given.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether `port`, and `plainPort` where it is set, are opened in the firewall.";
    };

    rootCertificateFile = mkOption {
      type = types.path;
      example = literalExpression "./root.pem";
      description = "The root's certificate, PEM. It is public and may be in the store.";
    };

    intermediateCertificateFile = mkOption {
      type = types.path;
      example = literalExpression "./intermediate.pem";
      description = "The intermediate's certificate, PEM. It is public and may be in the store.";
    };

    credentials = {
      intermediateKey = mkOption {
        type = own.secretPath;
        example = "/run/secrets/acme-ca/intermediate.key";
        description = ''
          The intermediate's key on the host, as a string. systemd reads it as root and shows it to the service alone
          (LoadCredential), so its owner and mode are free. A path that is in the store, or would be copied there, is
          refused: everybody on the host can read the store.
        '';
      };
      intermediatePassphrase = mkOption {
        type = types.nullOr own.secretPath;
        default = null;
        example = "/run/secrets/acme-ca/intermediate.pass";
        description = "The file whose first line opens the key. Null: the key is not encrypted.";
      };
      extra = mkOption {
        type = types.attrsOf own.secretPath;
        default = { };
        example = { "ntfy.token" = "/run/secrets/ntfy-token"; };
        description = ''
          Further secrets. `settings` names them as `/run/credentials/acme-ca.service/NAME`: keys of other issuers, the
          password of PostgreSQL, tokens of alert sinks.
        '';
      };
      encrypted = mkOption {
        type = types.bool;
        default = false;
        description = "Whether the files were made by `systemd-creds encrypt --name=NAME` (LoadCredentialEncrypted).";
      };
      afterUnits = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "sops-install-secrets.service" ];
        description = "The units that put the files there.";
      };
    };

    validation = {
      resolvers = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "192.168.1.10" "tls://9.9.9.9#dns.quad9.net" ];
        description = ''
          The name servers that the CA asks, in order: `ADDRESS`, `ADDRESS:PORT`, `tcp://ADDRESS`, `tls://ADDRESS#NAME`.
          Empty: those of the host's resolv.conf. They have to know the names that are to have certificates; public ones,
          which do not, cure nothing.
        '';
      };
      hosts = mkOption {
        type = types.attrsOf (types.listOf own.address);
        default = { };
        example = { "dns.mgmt.lan" = [ "192.168.1.10" ]; "*.mgmt.lan" = [ "192.168.1.10" ]; };
        description = "Names, or `*.SUFFIX` for every depth below, whose addresses are not asked for. Loopback is for names of this host's own certificates.";
      };
      hostAddress = mkOption {
        type = types.nullOr own.address;
        default = null;
        example = "192.168.1.10";
        description = ''
          This host's address. When set, every name of this host's own certificates from this CA is pinned to it, and
          the CA's name.
        '';
      };
      acceptSystemResolver = mkOption {
        type = types.bool;
        default = false;
        description = ''
          Whether the servers that the CA asks, those of resolv.conf or public ones in `resolvers`, are taken whatever the
          guards say of them.
        '';
      };
    };

    policy = {
      allow = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "mgmt.lan" "*.mgmt.lan" "192.168.1.0/24" ];
        description = "What may have a certificate: names, `*.SUFFIX`, addresses and networks. Not empty.";
      };
      deny = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "What may not. It wins over `allow`.";
      };
    };

    lifetime = {
      defaultDays = mkOption {
        type = types.ints.positive;
        default = 90;
        description = "How long certificates are good for when an order names no profile.";
      };
      maxDays = mkOption {
        type = types.ints.positive;
        default = 90;
        description = "How long those of any profile in `settings` may be good for.";
      };
    };

    checkConfig = mkOption {
      type = types.bool;
      default = true;
      description = "Whether `acme-ca check-config --file-only` judges the file when the system is built; not when that is built for another machine.";
    };

    settings = mkOption {
      type = types.submodule { freeformType = (pkgs.formats.toml { }).type; };
      default = { };
      example = { validation.patience = "2m"; profiles.short.lifetime = "7d"; };
      description = ''
        Keys of acme-ca.toml (README.md, "Configuration reference"). What stands here wins over the options above. It ends in
        the store, so secrets are named by path: see `credentials.extra`.
      '';
    };
  };
}
