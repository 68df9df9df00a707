# services.acme-ca.client: a host that trusts the CA, and whose `security.acme` orders there. Only certificates whose
# `server` is our directory are touched; a host may have others from anywhere.
{ config, lib, pkgs, ... }:

let
  own = import ./lib.nix { inherit lib; };
  cfg = config.services.acme-ca.client;
  inherit (lib) literalExpression mkDefault mkIf mkOption types;

  url = own.parseUrl cfg.directoryUrl;
  acme = config.security.acme;
  certificates = own.certificatesOf cfg.directoryUrl acme.certs;
  # Stronger than what nixpkgs itself sets (RestartSec, the timers), weaker than a mkForce of yours. What nixpkgs leaves open is
  # a mkDefault, so that a plain value of yours wins.
  mkStronger = lib.mkOverride 90;

  fingerprints = map (text: lib.toLower (lib.replaceStrings [ ":" ] [ "" ] text)) cfg.rootFingerprints;
  # A root is looked at when the system is built: it is one certificate, its own issuer, no key is beside it, and its
  # fingerprint is known where fingerprints are given.
  checked = file: pkgs.runCommand "acme-ca-root.pem" { nativeBuildInputs = [ pkgs.openssl ]; } ''
    refuse() { echo "services.acme-ca.client.rootCertificateFiles: ${file} $1" >&2; exit 1; }
    case "$(cat ${file})" in *"PRIVATE KEY"*) refuse "has a private key in it, which everybody can read in the store" ;; esac
    test "$(grep -c -- '-----BEGIN CERTIFICATE-----' ${file})" = 1 || refuse "is not one certificate in PEM"
    subject=$(openssl x509 -in ${file} -noout -subject_hash) || refuse "cannot be read"
    test "$subject" = "$(openssl x509 -in ${file} -noout -issuer_hash)" \
      || refuse "is no root: somebody else issued it. Hosts trust the root; the intermediate is sent along by servers"
    openssl x509 -in ${file} -noout -ext basicConstraints 2>/dev/null | grep -q CA:TRUE \
      || refuse "is no CA's: it does not say CA:TRUE, so nothing that it signed would be believed"
    fingerprint=$(openssl x509 -in ${file} -noout -fingerprint -sha256 | sed 's/.*=//; s/://g' | tr A-F a-f)
    case " ${toString fingerprints} " in
      *" $fingerprint "*) ;;
      "  ") ;;
      *) refuse "has the fingerprint $fingerprint, which is not in rootFingerprints" ;;
    esac
    cp ${file} $out
  '';
  roots = map (file: "${checked "${file}"}") cfg.rootCertificateFiles;

  sandbox = removeAttrs (import ./unit.nix) [ "User" "Group" "StateDirectory" "StateDirectoryMode" "ProtectProc" "ProcSubset" ];
  forEach = prefix: unit: lib.mapAttrs' (name: cert: lib.nameValuePair "${prefix}${name}" (unit name cert)) certificates;
in
{
  imports = [ ./notify.nix ];

  options.services.acme-ca.client = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = "Whether this host trusts an acme-ca and orders its certificates there.";
    };

    rootCertificateFiles = mkOption {
      type = types.listOf types.path;
      default = [ ];
      example = literalExpression "[ ./root.pem ]";
      description = "The root's certificate, as a path without quotes; during a rollover, the old and the new one. Not empty.";
    };

    rootFingerprints = mkOption {
      type = types.listOf (types.strMatching "[0-9a-fA-F]{64}|([0-9a-fA-F]{2}:){31}[0-9a-fA-F]{2}");
      default = [ ];
      description = "SHA-256 fingerprints, as `ca-ctl root create` printed them. When given, the build fails for a file with another.";
    };

    directoryUrl = mkOption {
      type = types.str;
      example = "https://ca.mgmt.lan/acme/directory";
      description = "The CA's directory. Accounts and certificates are filed under it: another URL orders everything anew.";
    };

    email = mkOption {
      type = types.str;
      default = "acme@${config.networking.fqdnOrHostName}";
      defaultText = literalExpression ''"acme@''${config.networking.fqdnOrHostName}"'';
      description = "The account's contact. NixOS demands one; the CA sends nothing.";
    };

    installSystemTrust = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the roots go into the host's list (`security.pki.certificateFiles`).";
    };

    setAcmeDefaults = mkOption {
      type = types.bool;
      default = true;
      description = "Whether `security.acme.defaults` name this CA. A definition of yours wins.";
    };

    pinLego = mkOption {
      type = types.bool;
      default = true;
      description = "Whether orders trust the roots above for the CA's own certificate, and no other root.";
    };

    caAddresses = mkOption {
      type = types.listOf own.address;
      default = [ ];
      example = [ "192.168.1.10" ];
      description = "The CA's addresses, for `networking.hosts`: for hosts that order before their DNS works.";
    };

    retry = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether a failed order is tried again. NixOS by itself waits for its daily timer.";
      };
      intervalSec = mkOption {
        type = types.ints.positive;
        default = 60;
        description = "Seconds before the first repetition.";
      };
      maxIntervalSec = mkOption {
        type = types.ints.positive;
        default = 600;
        description = "Seconds to which the interval grows. systemd before 254 keeps to the first.";
      };
    };

    validMinDays = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      description = ''
        `security.acme.defaults.validMinDays`, or null to leave that alone: 30 before NixOS 26.05, afterwards a third of the
        lifetime.
      '';
    };

    shortLived = mkOption {
      type = types.bool;
      default = false;
      description = "Whether timers run hourly and with little delay, for certificates of less than a week.";
    };

    openHttp01Port = mkOption {
      type = types.bool;
      default = false;
      description = "Whether port 80 is opened in the firewall, where HTTP-01 asks.";
    };
  };

  config = mkIf cfg.enable {
    security.pki.certificateFiles = mkIf cfg.installSystemTrust roots;

    security.acme = {
      acceptTerms = mkIf cfg.setAcmeDefaults (mkDefault true);
      defaults = {
        server = mkIf cfg.setAcmeDefaults (mkDefault cfg.directoryUrl);
        email = mkIf cfg.setAcmeDefaults (mkDefault cfg.email);
        validMinDays = mkIf (cfg.validMinDays != null) (mkDefault cfg.validMinDays);
      };
    };

    networking.hosts = mkIf (url != null) (lib.genAttrs cfg.caAddresses (_: [ url.host ]));
    networking.firewall.allowedTCPPorts = mkIf cfg.openHttp01Port [ 80 ];

    systemd.services = forEach own.orderUnit
      (name: _: {
        # A variable, and not a flag of lego: flags are part of the name under which NixOS files a certificate.
        environment = mkIf cfg.pinLego { LEGO_CA_CERTIFICATES = mkDefault (lib.concatStringsSep ":" roots); };
        unitConfig = mkIf cfg.retry.enable { StartLimitIntervalSec = mkDefault 0; };
        serviceConfig = mkIf cfg.retry.enable {
          Restart = mkDefault "on-failure";
          RestartSec = mkStronger cfg.retry.intervalSec;
          RestartSteps = mkDefault 4;
          RestartMaxDelaySec = mkDefault (lib.max cfg.retry.intervalSec cfg.retry.maxIntervalSec);
        };
        onFailure = mkIf cfg.retry.enable [ "acme-ca-order-again@${name}.service" ];
      })
    // {
      # Certificates of one account wait for the first of them (acme-account-HASH.target). When that one fails, the others do
      # not even begin, and Restart= is not for units that did not begin.
      "acme-ca-order-again@" = mkIf cfg.retry.enable {
        description = "Order the certificate %i again";
        # root, because it asks systemd to start a unit; for that the socket of systemd is enough.
        serviceConfig = sandbox // {
          Type = "oneshot";
          PrivateNetwork = true;
          IPAddressDeny = "any";
          RestrictAddressFamilies = [ "AF_UNIX" ];
          ExecStart = [
            "${pkgs.coreutils}/bin/sleep ${toString cfg.retry.intervalSec}"
            "${config.systemd.package}/bin/systemctl --no-block start ${own.orderUnit}%i.service"
          ];
          TimeoutStartSec = "infinity";
        };
      };
    };

    systemd.timers = mkIf cfg.shortLived (forEach own.orderTimer (_: _: {
      timerConfig = {
        OnCalendar = mkStronger "hourly";
        RandomizedDelaySec = mkStronger "1h";
        AccuracySec = mkStronger "5m";
      };
    }));

    assertions = [
      {
        # lego asks for exactly this, and accounts are filed under exactly this.
        assertion = url != null && builtins.match "(/[^/?#[:space:]]+)+" url.path != null;
        message = ''services.acme-ca.client.directoryUrl is "${cfg.directoryUrl}"; https://HOST[:PORT]/acme/directory would do.'';
      }
      {
        assertion = url == null || own.isHostName url.host && lib.last (lib.splitString "." url.host) != "localhost";
        message = ''
          services.acme-ca.client.directoryUrl has the host ${url.host}. Accounts are filed under the URL for years: give the CA a
          name that is the same everywhere and ends without a dot, and its address in services.acme-ca.client.caAddresses.'';
      }
      {
        assertion = cfg.rootCertificateFiles != [ ];
        message = ''
          services.acme-ca.client.rootCertificateFiles is empty, so this host could not trust the CA. The root.pem that
          `ca-ctl root create` wrote would do.'';
      }
      {
        # The build looks at them, and it cannot see the host's files.
        assertion = lib.all (file: builtins.isPath file || lib.hasPrefix "${builtins.storeDir}/" "${file}") cfg.rootCertificateFiles;
        message = ''
          services.acme-ca.client.rootCertificateFiles has a file outside the store. Write it as a path, without quotes: the root is
          public.'';
      }
    ];

    warnings =
      let
        firewall = config.networking.firewall;
        isOpen = !firewall.enable || lib.elem 80 firewall.allowedTCPPorts
          || lib.any (range: range.from <= 80 && 80 <= range.to) (firewall.allowedTCPPortRanges or [ ])
          || lib.any (interface: lib.elem 80 (interface.allowedTCPPorts or [ ])) (lib.attrValues (firewall.interfaces or { }));
        named = judge: lib.attrNames (lib.filterAttrs (_: judge) certificates);
        byHttp = named (cert: cert.webroot != null || cert.listenHTTP != null);
        stapled = named (cert: cert.ocspMustStaple or false);
        wildcards = named (cert: cert.dnsProvider == null
          && lib.any (lib.hasPrefix "*.") ([ cert.domain ] ++ cert.extraDomainNames));
        server = config.services.acme-ca;
        # What a certificate lives for is known where the server is configured: here.
        isOurs = server.enable or false && own.isSameUrl server.advertisedUrl cfg.directoryUrl;
        lifetime = cert:
          let profile = cert.profile or null; in
          own.seconds (server.settings.profiles.${if profile == null then "default" else profile}.lifetime or "90d");
        brief = named (cert: isOurs && lifetime cert != null && lifetime cert < 7 * 86400);
        restless = named (cert:
          isOurs && lifetime cert != null && (cert.validMinDays or null) != null && lifetime cert <= cert.validMinDays * 86400);
      in
      lib.optional (byHttp != [ ] && !isOpen) ''
        services.acme-ca.client: the CA asks at port 80 for ${toString byHttp}, and the firewall has it closed.
        services.acme-ca.client.openHttp01Port opens it.''
      ++ lib.optional (stapled != [ ]) ''
        services.acme-ca.client: ocspMustStaple is set for ${toString stapled}, and the CA has no OCSP. Orders will be refused.''
      ++ lib.optional (wildcards != [ ]) ''
        services.acme-ca.client: ${toString wildcards} has a wildcard and no dnsProvider. A wildcard is shown by DNS-01 alone.''
      ++ lib.optional (url != null && builtins.match "/acme/[^/]+/directory" url.path != null) ''
        services.acme-ca.client.directoryUrl ends as step-ca's do (${url.path}). acme-ca's ends in /acme/directory, and has to be
        new: a client whose account is unknown under an old URL never registers again.''
      ++ lib.optional (brief != [ ] && !cfg.shortLived) ''
        services.acme-ca.client: ${toString brief} lives for less than a week, and timers may be two days late. Set
        services.acme-ca.client.shortLived, or give certificates a week.''
      ++ lib.optional (restless != [ ]) ''
        services.acme-ca.client: ${toString restless} has a validMinDays that is not less than its lifetime: each run of the timer would
        renew it. services.acme-ca.client.validMinDays can be set to less.'';
  };
}
