# Systems, and what they have to be. A case is `modules` with either `shows` and `expect` (a function of the configuration,
# and its JSON), or `refused` (words of the refusal). `release` and `withDnsServices` are for the shapes of stubs.nix alone,
# `stubOnly` for our own lib.
# The numbers are those of the module's acceptance list: several cases may serve one number.
import ./cases-server.nix // import ./cases-guards.nix // import ./cases-client.nix
