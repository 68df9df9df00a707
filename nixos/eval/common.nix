# What the cases are written in.
rec {
  certificate = builtins.toFile "certificate.pem" "a certificate";
  url = "https://ca.mgmt.lan/acme/directory";

  # The least server and the least client.
  ca = settings: { services.acme-ca = settings; };
  server = ca {
    enable = true;
    hostName = "ca.mgmt.lan";
    port = 443;
    rootCertificateFile = certificate;
    intermediateCertificateFile = certificate;
    credentials.intermediateKey = "/run/secrets/intermediate.key";
    policy.allow = [ "mgmt.lan" "*.mgmt.lan" ];
  };
  client = { services.acme-ca.client = { enable = true; directoryUrl = url; rootCertificateFiles = [ certificate ]; }; };
  of = settings: { services.acme-ca.client = settings; };
  orders = names: {
    security.acme.acceptTerms = true;
    security.acme.defaults.email = "ops@mgmt.lan";
    security.acme.certs = builtins.listToAttrs
      (map (name: { inherit name; value = { webroot = "/var/lib/acme/acme-challenge"; }; }) names);
  };
  here = { security.acme.defaults.server = url; };
  resolvers = ca { validation.resolvers = [ "192.168.1.10" ]; };

  # lib.mkForce, as both libs have it.
  force = content: { _type = "override"; priority = 50; inherit content; };

  serve = config: config.systemd.services.acme-ca;
  settings = config: config.services.acme-ca.settings;
  order = name: config: config.systemd.services."acme-order-renew-${name}";
  startsWith = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
  ours = builtins.filter (text: builtins.match "acme-ca.*" text != null);
  # Ours among the warnings, by their first words.
  warnings = config: map (text: builtins.head (builtins.split "[:,]? " (builtins.substring 0 200 text)))
    (builtins.filter (startsWith "services.acme-ca") config.warnings);
  elem = builtins.elem;
  has = key: set: set ? ${key};
  cures = [ "validation.resolvers" "validation.hosts" ".hostAddress" "validation.acceptSystemResolver" ];
}
