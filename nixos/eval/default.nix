# One system per case, with our own `lib` and the shapes of stubs.nix; or with a nixpkgs' `lib` and the same shapes; or with
# a nixpkgs' whole NixOS. See run.
{ lane ? "stub", nixpkgs ? null }:

let
  cases = import ./cases.nix;

  evaluate = case:
    let
      release = case.release or "26.05";
      theirs = import "${nixpkgs}/lib";
      lib =
        if lane == "stub" then import ./minilib.nix { inherit release; }
        else theirs // { trivial = theirs.trivial // { inherit release; }; };
      shaped = lib.evalModules {
        modules = [ (import ./stubs.nix { inherit release; withDnsServices = case.withDnsServices or true; }) ] ++ modules;
        specialArgs = { inherit lib; pkgs = import ./packages.nix { inherit lib; }; };
      };
      whole = import "${nixpkgs}/nixos/lib/eval-config.nix" {
        system = builtins.currentSystem;
        modules = [{
          boot.loader.grub.enable = false;
          fileSystems."/" = { device = "/dev/vda"; fsType = "ext4"; };
          system.stateVersion = theirs.trivial.release;
        }] ++ modules;
      };
      modules = (case.imports or [ ../default.nix ]) ++ case.modules;
    in
    if lane == "nixos" then whole else shaped;

  judged = case:
    let
      system = evaluate case;
      inherit (system) config;
      failed = map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions);
    in
    if failed != [ ] then throw "Failed assertions:\n${builtins.concatStringsSep "\n" failed}" else system;

  verdict = case:
    let actual = case.shows (judged case).config; in
    if actual == case.expect then "ok"
    else "expected ${builtins.toJSON case.expect}\nactual   ${builtins.toJSON actual}";
  sense = case:
    if case ? stubOnly then "stub"
    else if case ? release || case ? withDnsServices then "shaped"
    else "every";
in
{
  inherit evaluate;

  # What run reads: of each case whether it is to be refused, with which words, and in which lanes it makes sense.
  index = builtins.concatStringsSep "" (map
    (name:
      let case = cases.${name}; in
      "${name}\t${if case ? refused then "refused" else "value"}\t${sense case}\n")
    (builtins.attrNames cases));
  refused = builtins.mapAttrs (_: case: builtins.concatStringsSep "\n" (case.refused or [ ])) cases;
  verdict = builtins.mapAttrs (_: verdict) cases;
  force = builtins.mapAttrs (_: case: builtins.deepSeq ((case.shows or (config: config.systemd.services)) (judged case).config) "accepted") cases;
}
