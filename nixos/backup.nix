# services.acme-ca.backup: a copy of the SQLite store, made while the server runs. It holds no key.
{ config, lib, pkgs, ... }:

let
  own = import ./lib.nix { inherit lib; };
  cfg = config.services.acme-ca;
  inherit (lib) mkEnableOption mkIf mkOption types;
  url = cfg.settings.store.url or "";
  database = own.sqliteFile url;
in
{
  options.services.acme-ca.backup = {
    enable = mkEnableOption "a regular copy of the store";
    directory = mkOption {
      type = types.str;
      default = "/var/backup/acme-ca";
      description = ''
        Where the copy `ca.db` lies. A store that is lost, empty, damaged or without accounts never takes its place; what keeps
        older ones is your backup program.
      '';
    };
    interval = mkOption {
      type = types.str;
      default = "daily";
      description = "When, as systemd.time(7) has it.";
    };
  };

  config = mkIf (cfg.enable && cfg.backup.enable) {
    assertions = [
      {
        # The URL is not shown: it may have a password in it.
        assertion = database != null;
        message = ''
          services.acme-ca.backup copies a SQLite file, and settings.store.url is not sqlite:/PATH. For PostgreSQL, pg_dump by
          services.postgresqlBackup would do.'';
      }
      {
        assertion = own.isWritablePath cfg.backup.directory;
        message = ''
          services.acme-ca.backup.directory is ${cfg.backup.directory}. ${own.writablePaths} /var/backup/acme-ca would do.'';
      }
    ];

    systemd.tmpfiles.rules = [ "d ${cfg.backup.directory} 0700 acme-ca acme-ca -" ];

    systemd.services.acme-ca-backup = {
      description = "Copy of the certificate authority's store";
      startAt = cfg.backup.interval;
      # The last copy may be the only one that there is, when the store was lost. So the store is only read, and the new copy
      # takes the old one's place when it is whole.
      script = ''
        set -eu
        fail() { echo "$1; the last copy is kept" >&2; exit 1; }
        store=${lib.escapeShellArg (toString database)}
        cd ${lib.escapeShellArg cfg.backup.directory}
        ask() { ${pkgs.sqlite}/bin/sqlite3 -readonly "$@"; }
        test -s "$store" || fail "there is nothing in $store"
        ${pkgs.coreutils}/bin/rm -f ca.db.new
        ask "$store" ".backup ca.db.new" || fail "$store cannot be copied"
        test -s ca.db.new || fail "the copy of $store is empty"
        said=$(ask ca.db.new "PRAGMA integrity_check") || fail "the copy of $store cannot be read"
        test "$said" = ok || fail "the copy of $store is damaged: $said"
        accounts=$(ask ca.db.new "SELECT count(*) FROM account") || fail "$store is no store of acme-ca"
        if [ "$accounts" = 0 ] && [ -s ca.db ] && [ "$(ask ca.db "SELECT count(*) FROM account")" != 0 ]; then
          fail "$store has no accounts, and the last copy has some"
        fi
        ${pkgs.coreutils}/bin/mv ca.db.new ca.db
      '';
      serviceConfig = removeAttrs (import ./unit.nix) [ "RestrictAddressFamilies" ] // {
        Type = "oneshot";
        # Beside a store lie files that SQLite makes for those who only read it, too.
        ReadWritePaths = [ cfg.backup.directory ] ++ own.beyondState database;
        PrivateNetwork = true;
        RestrictAddressFamilies = "none";
      };
    };
  };
}
