# What stands in [Service] beside the program itself: the sandbox. The sockets are handed over by systemd, so no capability
# is needed for any port. HTTP-01 dials whatever address a name has, so addresses are not restricted here; the program
# vets each of them.
{
  # Who it runs as, and what it may write.
  User = "acme-ca";
  Group = "acme-ca";
  StateDirectory = "acme-ca";
  StateDirectoryMode = "0700";
  UMask = "0077";
  ProtectSystem = "strict";
  ProtectHome = true;
  PrivateTmp = true;
  PrivateDevices = true;
  DevicePolicy = "closed";

  # A dump of its memory would have the key in it.
  LimitCORE = 0;
  KeyringMode = "private";
  PrivateIPC = true;
  RemoveIPC = true;
  ProtectProc = "invisible";
  ProcSubset = "pid";

  # What it may become.
  PrivateUsers = true;
  NoNewPrivileges = true;
  CapabilityBoundingSet = "";
  AmbientCapabilities = "";
  RestrictSUIDSGID = true;
  RestrictNamespaces = true;
  RestrictRealtime = true;
  LockPersonality = true;
  MemoryDenyWriteExecute = true;

  # What it may change of the machine: nothing.
  ProtectClock = true;
  ProtectControlGroups = true;
  ProtectHostname = true;
  ProtectKernelLogs = true;
  ProtectKernelModules = true;
  ProtectKernelTunables = true;

  # UNIX for the journal, PostgreSQL and NixOS' nsncd, NETLINK for the C library's view of addresses.
  RestrictAddressFamilies = [ "AF_INET" "AF_INET6" "AF_UNIX" "AF_NETLINK" ];
  SystemCallArchitectures = "native";
  SystemCallFilter = [ "@system-service" "~@privileged" "~@resources" ];
  SystemCallErrorNumber = "EPERM";
}
