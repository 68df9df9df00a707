# services.acme-ca.backup: a copy of the SQLite store, made while the server runs. It holds no key.
{ config, lib, pkgs, ... }:

let
  cfg = config.services.acme-ca;
  inherit (lib) mkEnableOption mkIf mkOption types;
  url = cfg.settings.store.url or "";
  database = lib.removePrefix "sqlite:" url;
in
{
  options.services.acme-ca.backup = {
    enable = mkEnableOption "a regular copy of the store";
    directory = mkOption {
      type = types.str;
      default = "/var/backup/acme-ca";
      description = "Where the copy `ca.db` lies. What keeps older ones is your backup program.";
    };
    interval = mkOption {
      type = types.str;
      default = "daily";
      description = "When, as systemd.time(7) has it.";
    };
  };

  config = mkIf (cfg.enable && cfg.backup.enable) {
    assertions = [{
      assertion = lib.hasPrefix "sqlite:/" url;
      message = ''
        services.acme-ca.backup copies a SQLite file, and settings.store.url is ${url}. For PostgreSQL, pg_dump by
        services.postgresqlBackup would do.'';
    }];

    systemd.tmpfiles.rules = [ "d ${cfg.backup.directory} 0700 acme-ca acme-ca -" ];

    systemd.services.acme-ca-backup = {
      description = "Copy of the certificate authority's store";
      startAt = cfg.backup.interval;
      # Whole or not there: a copy that was cut short never takes the place of the last one.
      script = ''
        cd ${lib.escapeShellArg cfg.backup.directory}
        rm -f ca.db.new
        ${pkgs.sqlite}/bin/sqlite3 ${lib.escapeShellArg database} ".backup ca.db.new"
        ${pkgs.coreutils}/bin/mv ca.db.new ca.db
      '';
      serviceConfig = removeAttrs (import ./unit.nix) [ "RestrictAddressFamilies" ] // {
        Type = "oneshot";
        ReadWritePaths = [ cfg.backup.directory ];
        PrivateNetwork = true;
        RestrictAddressFamilies = "none";
      };
    };
  };
}
