# services.acme-ca.client.notifyOnFailure: a message to ntfy when an order fails, with what lego said. The CA has alerts of
# its own; this one comes from the host, also when the CA cannot be reached or never heard of the order.
{ config, lib, pkgs, ... }:

let
  own = import ./lib.nix { inherit lib; };
  client = config.services.acme-ca.client;
  cfg = client.notifyOnFailure;
  inherit (lib) mkIf mkOption types;

  systemd = "${config.systemd.package}/bin";
  coreutils = "${pkgs.coreutils}/bin";

  # $1 is the certificate. One message a day and certificate; the stamp is gone with the next success.
  send = pkgs.writeShellScript "acme-ca-notify" ''
    set -eu
    unit=${own.orderUnit}$1.service
    # An order that waited for another one did not fail itself; the other one has its own message.
    test "$(${systemd}/systemctl show --property=Result --value "$unit")" != success || exit 0
    stamp=$RUNTIME_DIRECTORY/$1
    if [ -e "$stamp" ] && [ $(( $(${coreutils}/date +%s) - $(${coreutils}/stat --format=%Y "$stamp") )) -lt 86400 ]; then exit 0; fi
    {
      echo "$unit failed. The last it said:"
      ${systemd}/journalctl --unit="$unit" --lines=12 --output=cat --no-pager | ${coreutils}/tail --bytes=1500
    } | ${pkgs.curl}/bin/curl --fail --silent --show-error --max-time 20 --retry 3 \
      --cacert /etc/ssl/certs/ca-certificates.crt \
      --header "Title: ${config.networking.hostName}: no certificate for $1" --header "Priority: high" --header "Tags: lock" \
      ${lib.optionalString (cfg.tokenFile or null != null) ''--config "$RUNTIME_DIRECTORY/.token-$1" ''}\
      --data-binary @- --output /dev/null ${lib.escapeShellArg "${lib.removeSuffix "/" cfg.url}/${cfg.topic}"}
    ${coreutils}/touch "$stamp"
  '';
  # curl reads the token from a file, so that it is in no list of processes.
  writeToken = pkgs.writeShellScript "acme-ca-notify-token" ''
    set -eu
    umask 077
    printf 'header = "Authorization: Bearer %s"\n' "$(${coreutils}/cat "$CREDENTIALS_DIRECTORY/token")" >"$RUNTIME_DIRECTORY/.token-$1"
  '';
  # systemd does not call OnFailure= for a unit that it will start again by itself, so the order unit asks for it.
  stopped = pkgs.writeShellScript "acme-ca-order-stopped" ''
    if [ "$SERVICE_RESULT" = success ]; then
      ${coreutils}/rm -f "/run/acme-ca-notify/$1"
    else
      ${systemd}/systemctl --no-block start "acme-ca-notify@$1.service"
    fi
  '';
in
{
  options.services.acme-ca.client.notifyOnFailure = mkOption {
    type = types.nullOr (types.submodule {
      options = {
        url = mkOption {
          type = types.strMatching "https?://.+";
          example = "https://ntfy.mgmt.lan";
          description = "The ntfy server.";
        };
        topic = mkOption {
          type = types.strMatching "[-_A-Za-z0-9]{1,64}";
          example = "pki";
          description = "The topic.";
        };
        tokenFile = mkOption {
          type = types.nullOr own.secretPath;
          default = null;
          description = "The file with the access token, outside the store. Null: none is needed.";
        };
      };
    });
    default = null;
    description = "Where a failed order is told. Null: nowhere.";
  };

  config = mkIf (client.enable && cfg != null) {
    systemd.services = lib.mapAttrs'
      (name: _: lib.nameValuePair "${own.orderUnit}${name}" {
        onFailure = [ "acme-ca-notify@${name}.service" ];
        serviceConfig.ExecStopPost = [ "+${stopped} ${name}" ];
      })
      (own.certificatesOf client.directoryUrl config.security.acme.certs)
    // {
      "acme-ca-notify@" = {
        description = "Tell that the certificate %i was not ordered";
        serviceConfig = removeAttrs (import ./unit.nix) [ "Group" "StateDirectory" "StateDirectoryMode" ] // {
          Type = "oneshot";
          ExecStartPre = mkIf (cfg.tokenFile != null) "${writeToken} %i";
          ExecStart = "${send} %i";
          LoadCredential = mkIf (cfg.tokenFile != null) [ "token:${cfg.tokenFile}" ];
          # One user for all of them: they share the directory of stamps.
          User = "acme-ca-notify";
          DynamicUser = true;
          SupplementaryGroups = [ "systemd-journal" ];
          RuntimeDirectory = "acme-ca-notify";
          RuntimeDirectoryMode = "0700";
          RuntimeDirectoryPreserve = true;
          RestrictAddressFamilies = [ "AF_INET" "AF_INET6" "AF_UNIX" ];
        };
      };
    };
  };
}
