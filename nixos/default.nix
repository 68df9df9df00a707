# Both modules. Neither does anything until it is enabled: services.acme-ca.enable, services.acme-ca.client.enable.
{ imports = [ ./server.nix ./client.nix ]; }
