# What is really built, by /bin/sh and the programs of this host: configurations that our own program judges, roots, and
# every unit as text. The certificates at $ACME_CA_PEMS are made by run.
let
  evaluation = import ./. { };
  pems = /. + builtins.getEnv "ACME_CA_PEMS";
  cases = import ./cases.nix;
  inherit (import ./common.nix) force;

  server = builtins.head cases."02 the least server is one service and one socket".modules;
  config = base: modules: (evaluation.evaluate { modules = base ++ modules; }).config;
  toml = modules: (config [ server { services.acme-ca.validation.resolvers = [ "192.168.1.10" ]; } ] modules).environment.etc."acme-ca/acme-ca.toml".source;
  settings = set: toml [{ services.acme-ca.settings = set; }];
  roots = set:
    let
      inherit (config [ ] [{
        services.acme-ca.client = { enable = true; directoryUrl = "https://ca.mgmt.lan/acme/directory"; } // set;
      }]) security;
    in
    shell "roots" "cat ${toString security.pki.certificateFiles} >$out";
  shell = name: script: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    PATH = builtins.getEnv "PATH";
    args = [ "-c" script ];
  };

  # A server of the test's own; otherwise one that is nowhere.
  ntfy = let given = builtins.getEnv "ACME_CA_NTFY"; in if given == "" then "https://ntfy.mgmt.lan" else given;
  everything = config
    [ server ]
    [{
      services.acme-ca = {
        plainPort = 80;
        validation.hostAddress = "192.168.1.10";
        backup.enable = true;
        credentials.intermediatePassphrase = "/run/secrets/pass";
        client = {
          enable = true;
          directoryUrl = "https://ca.mgmt.lan/acme/directory";
          rootCertificateFiles = [ (pems + "/root.pem") ];
          shortLived = true;
          notifyOnFailure = { url = ntfy; topic = "pki"; tokenFile = "/run/secrets/ntfy"; };
        };
      };
      security.acme.certs."wiki.mgmt.lan".webroot = "/var/lib/acme/acme-challenge";
    }];
  quote = text: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] text}'";
in
{
  # Built, or refused with these words.
  accepted = {
    "08 the least configuration is one" = toml [ ];
    "08 nested tables and lists of tables are TOML that our program reads" =
      (config cases."08 tables and lists of tables nest, and settings win".modules [ ]).environment.etc."acme-ca/acme-ca.toml".source;
    "08 quotes, backslashes and what is not ASCII survive" = settings {
      ca.issuer = [{ certificate = "/a \"quoted\" \\ file"; key = "/Schlüssel"; }];
    };
    "08 an unknown key passes when it is not to be judged" = toml [{ services.acme-ca = { checkConfig = false; settings.polcy = { }; }; }];
    "19 two roots" = roots { rootCertificateFiles = [ (pems + "/root.pem") (pems + "/other.pem") ]; };
    "19 a root with its fingerprint" = roots {
      rootCertificateFiles = [ (pems + "/root.pem") ];
      rootFingerprints = [ (builtins.readFile (pems + "/fingerprint")) ];
    };
  };
  refused = {
    "08 an unknown key is refused by our program" = { build = settings { resolver.servrs = [ ]; }; words = "servers is the nearest known one"; };
    "03 a key beside the root is refused" = {
      build = toml [{ services.acme-ca.rootCertificateFile = force (pems + "/with-key.pem"); }];
      words = "with-key.pem has a private key in it";
    };
    "03 a key beside the intermediate is refused, also when the file is not to be judged" = {
      build = toml [{ services.acme-ca = { intermediateCertificateFile = force (pems + "/with-key.pem"); checkConfig = false; }; }];
      words = "with-key.pem has a private key in it";
    };
    "03 a key beside a certificate of settings is refused" = {
      build = settings { ca.issuer = [{ certificate = pems + "/with-key.pem"; key = "/run/key"; }]; };
      words = "with-key.pem has a private key in it";
    };
    "08 a wrong value is refused by our program" = { build = settings { validation.patience = "1y"; }; words = "validation.patience"; };
    "19 a key in a root's file is refused" = { build = roots { rootCertificateFiles = [ (pems + "/with-key.pem") ]; }; words = "private key"; };
    "19 an intermediate is no root" = { build = roots { rootCertificateFiles = [ (pems + "/intermediate.pem") ]; }; words = "is no root"; };
    "19 a certificate that only signed itself is refused" = { build = roots { rootCertificateFiles = [ (pems + "/leaf.pem") ]; }; words = "does not say CA:TRUE"; };
    "19 two certificates are not one" = { build = roots { rootCertificateFiles = [ (pems + "/both.pem") ]; }; words = "is not one certificate"; };
    "19 another fingerprint is refused" = {
      build = roots { rootCertificateFiles = [ (pems + "/other.pem") ]; rootFingerprints = [ (builtins.readFile (pems + "/fingerprint")) ]; };
      words = "which is not in rootFingerprints";
    };
  };

  units = shell "units" ("mkdir $out && cd $out\n" + builtins.concatStringsSep "\n" (map
    (name: "printf %s ${quote everything.systemd.units.${name}.text} >${quote name}")
    (builtins.attrNames everything.systemd.units)));

  # What the copy's unit runs, for a store and a directory of the test's own.
  backup =
    let
      copied = config [ server ] [{
        services.acme-ca = {
          settings.store.url = "sqlite:${builtins.getEnv "ACME_CA_STORE"}";
          backup = { enable = true; directory = builtins.getEnv "ACME_CA_BACKUP"; };
        };
      }];
    in
    shell "backup" "printf '#!/bin/sh -e\n%s' ${quote copied.systemd.services.acme-ca-backup.script} >$out; chmod +x $out";

  # What the unit runs: the token, then the message.
  notify = shell "notify" (
    let unit = everything.systemd.services."acme-ca-notify@".serviceConfig; in
    "printf '#!/bin/sh -e\n%s\n%s\n' ${quote unit.ExecStartPre} ${quote unit.ExecStart} | sed 's/%i/wiki.mgmt.lan/' >$out; chmod +x $out"
  );
}
