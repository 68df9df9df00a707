# What both modules need to judge URLs, addresses and names. Pure, and nothing of nixpkgs but its `lib`.
{ lib }:

rec {
  # The order unit of a certificate is `${orderUnit}NAME.service`, its timer `${orderTimer}NAME.timer`. NixOS 25.11 split
  # what was one unit, `acme-NAME`, into the fallback certificate and the order.
  orderUnit = if split then "acme-order-renew-" else "acme-";
  orderTimer = if split then "acme-renew-" else "acme-";
  split = lib.versionAtLeast lib.trivial.release "25.11";

  # `https://HOST[:PORT]` as acme-ca writes it: in lower case, without the port that is understood.
  baseUrl = host: port: "https://${lib.toLower host}" + lib.optionalString (port != 443) ":${toString port}";

  # { host; port; path; }, or null for what is no https URL.
  parseUrl = url:
    let parts = builtins.match "https://(\\[[^]]*]|[^][/:@]+)(:([0-9]+))?(/.*)?" url; in
    if parts == null then null else {
      host = lib.toLower (builtins.elemAt parts 0);
      port = if builtins.elemAt parts 2 == null then "443" else builtins.elemAt parts 2;
      path = if builtins.elemAt parts 3 == null then "" else builtins.elemAt parts 3;
    };

  isAddress = text: isIpv4 text || isIpv6 text;
  isIpv4 = text:
    let byte = "(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"; in
    builtins.match "${byte}(\\.${byte}){3}" text != null;
  isIpv6 = text:
    let
      halves = lib.splitString "::" text;
      groups = lib.concatMap (half: if half == "" then [ ] else lib.splitString ":" half) halves;
      count = lib.length groups;
    in
    lib.all (group: builtins.match "[0-9a-fA-F]{1,4}" group != null) groups
    && (lib.length halves == 2 && count < 8 || lib.length halves == 1 && count == 8);
  address = lib.types.addCheck lib.types.str isAddress // {
    name = "address";
    description = "IP address";
  };

  # Labels of letters, digits and hyphens; no address, and no dot at the end.
  isHostName = text:
    builtins.match "[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*" text != null && !isIpv4 text;

  # The address in a name server as NixOS and acme-ca write it (`9.9.9.9`, `9.9.9.9:53`, `[fd00::1]:53`,
  # `tls://9.9.9.9#NAME`, `fe80::1%eth0`), and the name by which its certificate is judged, or null.
  serverAddress = text:
    let
      bare = lib.head (lib.splitString "#" (lib.last (lib.splitString "://" text)));
      bracketed = builtins.match "\\[([^]]*)](:[0-9]+)?" bare;
      withPort = builtins.match "([^:]*):[0-9]+" bare;
      address =
        if bracketed != null then lib.head bracketed
        else if withPort != null then lib.head withPort
        else bare;
    in
    bareName (lib.head (lib.splitString "%" address));
  serverName = text:
    let parts = lib.splitString "#" text; in
    if lib.length parts < 2 then null else bareName (lib.last parts);
  # As it is compared: in lower case, without the dot at its end.
  bareName = name: lib.removeSuffix "." (lib.toLower name);

  isLoopback = address: lib.hasPrefix "127." address || address == "::1" || lib.hasPrefix "::ffff:127." address;

  # Addresses that everybody can have: loopback, RFC 1918, link-local, RFC 6598 and their kin in IPv6. A name server at any
  # other address is taken for one that knows nothing of an internal zone.
  isPrivate = address:
    isLoopback address
    || lib.any (prefix: lib.hasPrefix prefix address) [ "10." "192.168." "169.254." "fc" "fd" "fe8" "fe9" "fea" "feb" ]
    || builtins.match "172\\.(1[6-9]|2[0-9]|3[01])\\..*" address != null
    || builtins.match "100\\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\\..*" address != null;

  # Whether a pattern of `resolver.pins` covers a name: the name itself, or `*.suffix` for every depth below.
  pinCovers = pattern: name:
    lib.toLower pattern == lib.toLower name
    || lib.hasPrefix "*." pattern && lib.hasSuffix (lib.toLower (lib.removePrefix "*" pattern)) (lib.toLower name);

  # Whether `resolver.zone` has servers for a name: the suffix itself, and everything below it.
  zoneCovers = suffix: name:
    let bare = bareName (lib.removePrefix "*." suffix); in
    bareName name == bare || lib.hasSuffix ".${bare}" (bareName name);

  # Whether two URLs are one: the host's case and the port that is understood make no difference.
  isSameUrl = one: other: one == other || parseUrl one != null && parseUrl one == parseUrl other;

  # The certificates of this host, by name, that are ordered at `directory`.
  certificatesOf = directory: certs:
    lib.filterAttrs (_: cert: cert.server != null && isSameUrl cert.server directory) certs;

  # The names of certificates that the CA has to look up: what is shown by DNS-01 is asked for elsewhere.
  namesToDial = certs:
    lib.unique (lib.filter (name: !lib.hasPrefix "*." name) (lib.concatMap
      (cert: [ cert.domain ] ++ cert.extraDomainNames)
      (lib.filter (cert: cert.dnsProvider == null) (lib.attrValues certs))));

  # Seconds of a span as acme-ca reads it ("90d", "1y 6months", "1.5h"), parts of a second as a whole one; null for what is none.
  seconds = span:
    let
      parts = builtins.match "[[:space:]]*([0-9]{1,12})([.][0-9]+)?[[:space:]]*([a-zA-Z]+)[[:space:]]*(.*)" span;
      unit = lib.findFirst (unit: lib.elem (builtins.elemAt parts 2) unit.names) null units;
      rest = builtins.elemAt parts 3;
      # A fraction counts as one more: rather too long than too short.
      count = lib.toIntBase10 (lib.head parts) + (if builtins.elemAt parts 1 == null then 0 else 1);
      others = if rest == "" then 0 else seconds rest;
    in
    if !builtins.isString span || parts == null || unit == null || others == null then null
    else count * unit.seconds + others;
  units = [
    { seconds = 1; names = [ "nanos" "nsec" "ns" "usec" "us" "millis" "msec" "ms" "seconds" "second" "secs" "sec" "s" ]; }
    { seconds = 60; names = [ "minutes" "minute" "min" "mins" "m" ]; }
    { seconds = 3600; names = [ "hours" "hour" "hr" "hrs" "h" ]; }
    { seconds = 86400; names = [ "days" "day" "d" ]; }
    { seconds = 604800; names = [ "weeks" "week" "wk" "wks" "w" ]; }
    { seconds = 2630016; names = [ "months" "month" "M" ]; }
    { seconds = 31557600; names = [ "years" "year" "yr" "yrs" "y" ]; }
  ];

  # The file of a store's URL, or null for what is no absolute path of a SQLite file.
  sqliteFile = url:
    let path = lib.removePrefix "//" (lib.removePrefix "sqlite:" url); in
    if lib.hasPrefix "sqlite:" url && lib.hasPrefix "/" path && !lib.hasInfix "?" path then path else null;

  # The directory of such a file, where it is not below the unit's own (StateDirectory).
  beyondState = file:
    lib.optional (file != null && !lib.hasPrefix "/var/lib/acme-ca/" file) (dirOf file);

  # Whether a unit with our sandbox can be given a path to write to. Homes are hidden from it, and its /tmp is gone when it ends;
  # blanks and % mean something else in a unit.
  isWritablePath = path:
    builtins.match "(/[-+_.,:@A-Za-z0-9]+)+" path != null
    && !lib.any (hidden: lib.hasPrefix "${hidden}/" "${path}/") [ "/home" "/root" "/run/user" "/tmp" "/var/tmp" ]
    && !lib.any (part: part == "." || part == "..") (lib.splitString "/" path);
  writablePaths = ''
    The unit cannot write below /home, /root, /run/user, /tmp and /var/tmp, and a path is made of letters, digits
    and -+_.,:@ alone.'';

  # A path without what does not count in it: `//`, `/./` and `/../`.
  normalized = path: "/" + lib.concatStringsSep "/" (lib.foldl'
    (kept: part:
      if part == "" || part == "." then kept
      else if part == ".." then (if kept == [ ] then [ ] else lib.init kept)
      else kept ++ [ part ])
    [ ]
    (lib.splitString "/" path));
  isInStore = path: lib.hasPrefix "${builtins.storeDir}/" (normalized path + "/");

  # The keys of a set, at any depth, that name a secret in the store, or would have it copied there.
  secretsInStore = prefix: value:
    if builtins.isList value then lib.concatMap (secretsInStore prefix) value
    else if builtins.isAttrs value then
      lib.concatLists
        (lib.mapAttrsToList
          (key: inner:
            let path = if prefix == "" then key else "${prefix}.${key}"; in
            if lib.elem key [ "key" "passphrase_file" "token_file" "password_file" ]
              && (builtins.isPath inner || builtins.isString inner && isInStore inner || inner ? outPath)
            then [ path ]
            else secretsInStore path inner)
          value)
    else [ ];

  # A file that is read on the host and never copied to the store. nixpkgs' own (`types.externalPath`) came with NixOS 25.05, and
  # passes over `/nix/./store`.
  secretPath = lib.types.addCheck lib.types.str (path: lib.hasPrefix "/" path && !isInStore path) // {
    name = "secretPath";
    description = "absolute path not in the Nix store";
  };
}
