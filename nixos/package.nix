# The two programs, with the system's OpenSSL: `pkgs.callPackage ./nixos/package.nix { }`.
{ lib, rustPlatform, rustc, cmake, perl, pkg-config, openssl }:

let
  manifest = builtins.fromTOML (builtins.readFile ../Cargo.toml);
  needed = manifest.workspace.package.rust-version;
in
assert lib.assertMsg (lib.versionAtLeast rustc.version needed) ''
  acme-ca needs Rust ${needed}, and this nixpkgs has ${rustc.version}. Take the package from a newer nixpkgs, whatever
  the host's own is: services.acme-ca.package = newer.callPackage ./nixos/package.nix { };
'';

rustPlatform.buildRustPackage {
  pname = "acme-ca";
  version = manifest.workspace.package.version;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../acme
      ../store
      ../src
      ../tests/bench # named in Cargo.toml
    ];
  };
  # Every dependency comes from the registry, with its checksum in the lock file.
  cargoLock.lockFile = ../Cargo.lock;

  # `vendored` would build an OpenSSL of our own.
  buildNoDefaultFeatures = true;
  # What .cargo/config.toml says; the builder puts one of its own in its place.
  env.AWS_LC_SYS_NO_JITTER_ENTROPY = "1";
  cargoBuildFlags = [ "--bins" ];
  # For AWS-LC: cmake is called by its build script, and is not how this package is configured.
  nativeBuildInputs = [ cmake perl pkg-config ];
  dontUseCmakeConfigure = true;
  buildInputs = [ openssl ];

  # The tests want name servers, clients and databases; they run in tests/run.
  doCheck = false;

  doInstallCheck = true;
  installCheckPhase = ''
    $out/bin/acme-ca --version
    $out/bin/ca-ctl --version
  '';

  meta = {
    description = "A private ACME certificate authority: offline root, pinned resolver, renewals that are watched";
    license = with lib.licenses; [ mit asl20 ];
    mainProgram = "acme-ca";
    platforms = lib.platforms.linux;
  };
}
