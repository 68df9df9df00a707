# As much of a package set as the modules use. Its derivations are real: /bin/sh builds them from the host's programs, and
# `acme-ca` is the program at $ACME_CA_PROGRAM.
{ lib }:

let
  derive = name: environment: script: derivation ({
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "set -eu; ${script}" ];
    PATH = builtins.getEnv "PATH";
  } // environment);
  # A package whose programs are the host's.
  ofHost = name: programs: derive name { inherit programs; } ''
    mkdir -p $out/bin
    for program in $programs; do ln -s "$(command -v $program)" $out/bin/; done
  '';

  # TOML, each top-level table in one line.
  toml = value:
    if builtins.isAttrs value then "{ ${lib.concatStringsSep ", " (lib.mapAttrsToList assign value)} }"
    else if builtins.isList value then "[${lib.concatStringsSep ", " (map toml value)}]"
    else builtins.toJSON value;
  assign = key: value: "${builtins.toJSON key} = ${toml value}";
  tomlValue = with lib.types; oneOf [ bool int float str path (attrsOf tomlValue) (listOf tomlValue) ] // {
    description = "TOML value";
  };
  packages = rec {
    inherit lib;
    stdenv = { buildPlatform.canExecute = _: true; hostPlatform.system = builtins.currentSystem; };
    callPackage = path: arguments:
      let package = import path; in
      package (builtins.intersectAttrs (builtins.functionArgs package) packages // arguments);
    rustc.version = "1.94.0";
    rustPlatform.buildRustPackage = attributes:
      derive attributes.pname { program = builtins.getEnv "ACME_CA_PROGRAM"; } ''
        mkdir -p $out/bin
        ln -s $program $out/bin/acme-ca
      '' // { inherit attributes; };
    testers.runNixOSTest = test: derive test.name { } ": >$out";
    cmake = perl;
    pkg-config = perl;
    nixpkgs-fmt = perl;
    perl = ofHost "perl" [ "perl" ];
    coreutils = ofHost "coreutils" [ "cat" "date" "kill" "mv" "rm" "sleep" "stat" "tail" "touch" ];
    curl = ofHost "curl" [ "curl" ];
    openssl = ofHost "openssl" [ "openssl" ];
    sqlite = ofHost "sqlite" [ "sqlite3" ];

    formats.toml = _: {
      type = tomlValue;
      generate = name: value: derive name
        { text = lib.concatStringsSep "\n" (lib.mapAttrsToList assign value) + "\n"; }
        "printf %s \"$text\" >$out";
    };
    runCommand = name: environment: derive name (removeAttrs environment [ "nativeBuildInputs" ]);
    writeShellScript = name: text: derive name { text = "#!/bin/sh\n${text}"; } "printf %s \"$text\" >$out; chmod +x $out";
  };
in
packages
