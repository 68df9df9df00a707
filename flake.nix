{
  description = "A private ACME certificate authority: offline root, pinned resolver, renewals that are watched";

  # For the package and the checks alone. It needs the Rust of Cargo.toml, which NixOS 25.11 does not have yet.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      forEachSystem = make: nixpkgs.lib.genAttrs [ "x86_64-linux" "aarch64-linux" ]
        (system: make nixpkgs.legacyPackages.${system});
      server = { lib, pkgs, ... }: {
        key = "acme-ca/nixosModules.server";
        imports = [ ./nixos/server.nix ];
        # Not built with the host's own nixpkgs, whose Rust may be older.
        services.acme-ca.package = lib.mkDefault self.packages.${pkgs.stdenv.hostPlatform.system}.default;
      };
      client.imports = [ ./nixos/client.nix ];
    in
    {
      nixosModules = {
        inherit server client;
        default.imports = [ server client ];
      };

      packages = forEachSystem (pkgs: { default = pkgs.callPackage ./nixos/package.nix { }; });

      overlays.default = final: _: { acme-ca = final.callPackage ./nixos/package.nix { }; };

      checks = forEachSystem (pkgs: {
        package = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
        container = import ./nixos/tests/container.nix { inherit pkgs; };
      });

      formatter = forEachSystem (pkgs: pkgs.nixpkgs-fmt);
    };
}
