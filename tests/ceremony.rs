//! The ceremony in three folders, each a machine: the root's, which is never online; the server's; and a client's, which
//! has the root's certificate and nothing else. The `openssl` program judges what comes out.

#![expect(clippy::unwrap_used, reason = "a test stops where something unexpected happens")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use acme::id::{SERIAL_RANDOM, Serial};
use acme::identifier::Identifier;
use acme::time::Timestamp;
use acme_ca::ca::{Ca, IssuerSettings, Key, KeyKind, Settings, Template, pem};
use acme_ca::ctl::ceremony::{Ceremony, Console};
use clap::Parser;
use rcgen::PublicKeyData;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(clap::Parser)]
struct Program {
    #[command(subcommand)]
    verb: Ceremony,
}

/// The three machines.
struct Machines {
    all: tempfile::TempDir,
}

impl Machines {
    fn new() -> Self {
        let all = tempfile::tempdir().unwrap();
        std::fs::create_dir(all.path().join("client")).unwrap();
        std::fs::write(all.path().join("pass"), "correct horse\n").unwrap();
        std::fs::write(all.path().join("wrong"), "battery staple\n").unwrap();
        Self { all }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.all.path().join(name)
    }

    /// Runs a command line; `@` at the beginning of a word stands for the folder of all machines, and `_` elsewhere for
    /// a space. Returns what was said on stdout and on stderr.
    fn ctl(&self, line: &str) -> Result<(String, String), String> {
        self.ctl_at(line, now())
    }

    fn ctl_at(&self, line: &str, now: Timestamp) -> Result<(String, String), String> {
        let here = format!("{}/", self.all.path().display());
        let words = line.split_whitespace().map(|word| match word.strip_prefix('@') {
            Some(path) => format!("{here}{path}"),
            None => word.replace('_', " "),
        });
        let program = Program::try_parse_from(std::iter::once("ca-ctl".to_owned()).chain(words))
            .map_err(|e| e.to_string())?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        program.verb.run(now, &mut Console::new(&mut out, &mut err, false)).map_err(|e| format!("{e:#}"))?;
        Ok((String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap()))
    }

    /// The whole ceremony with an offline root; the client gets the root.
    fn hold(&self, kind: &str, permit: &str) {
        self.ctl(&format!(
            "root create --dir @root --name Test_Root --key {kind} {permit} --passphrase-file @pass"
        ))
        .unwrap();
        self.ctl(&format!("intermediate request --dir @ca --name Test_Intermediate --key {kind}")).unwrap();
        self.carry("ca/intermediate.csr", "root/intermediate.csr");
        self.ctl("root sign --dir @root --csr @root/intermediate.csr --out @root/intermediate.pem --passphrase-file @pass")
            .unwrap();
        self.carry("root/intermediate.pem", "ca/incoming.pem");
        self.carry("root/root.pem", "ca/incoming-root.pem");
        self.ctl(
            "intermediate install --dir @ca --certificate @ca/incoming.pem --root @ca/incoming-root.pem",
        )
        .unwrap();
        self.carry("root/root.pem", "client/root.pem");
    }

    fn carry(&self, from: &str, to: &str) {
        std::fs::copy(self.path(from), self.path(to)).unwrap();
    }

    fn settings(&self, dir: &str, passphrase_file: Option<&str>) -> Settings {
        let dir = self.path(dir);
        Settings {
            root: dir.join("root.pem"),
            issuers: vec![IssuerSettings {
                certificate: dir.join("intermediate.pem"),
                key: dir.join("intermediate.key"),
                passphrase_file: passphrase_file.map(|file| self.path(file)),
                alternates: Vec::new(),
            }],
        }
    }

    /// The client receives a certificate with its chain, as a TLS server would send it, and judges it.
    fn client_verifies(&self, leaf: &[u8], chain_pem: &str) -> Output {
        std::fs::write(self.path("client/leaf.pem"), pem::encode("CERTIFICATE", leaf)).unwrap();
        std::fs::write(self.path("client/chain.pem"), chain_pem).unwrap();
        let at = now().unix().to_string();
        openssl(
            &self.path("client"),
            ["verify", "-x509_strict", "-purpose", "sslserver", "-attime", &at].into_iter().chain([
                "-CAfile",
                "root.pem",
                "-untrusted",
                "chain.pem",
                "leaf.pem",
            ]),
        )
    }

    fn text(&self, file: &str) -> String {
        let out = openssl(self.all.path(), ["x509", "-noout", "-text", "-in", file]);
        assert!(out.status.success(), "{}", said(&out));
        String::from_utf8(out.stdout).unwrap()
    }

    fn snapshot(&self, dir: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        std::fs::read_dir(self.path(dir))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect()
    }
}

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").unwrap()
}

fn openssl<'a>(dir: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Output {
    Command::new("openssl").args(arguments.into_iter().map(OsStr::new)).current_dir(dir).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn names(names: &[&str]) -> Vec<Identifier> {
    names.iter().map(|n| Identifier::ip(n).or_else(|_| Identifier::dns(n)).unwrap()).collect()
}

fn leaf(ca: &Ca, list: &[&str], kind: KeyKind) -> Vec<u8> {
    let issuer = ca.active(now()).unwrap();
    let public_key = Key::generate(kind).unwrap().subject_public_key_info();
    let template = Template {
        serial: &Serial::mint([9; SERIAL_RANDOM]),
        names: &names(list),
        common_name: Some(list[0]),
        public_key: &public_key,
        not_before: issuer.clamp_start(now().minus(Duration::from_secs(3600))),
        not_after: issuer.clamp(now().plus(90 * DAY)),
        client_auth: true,
        ca_issuers_url: Some("http://ca.mgmt.lan/issuer.der"),
        crl_url: Some("http://ca.mgmt.lan/issuer.crl"),
    };
    issuer.draft(&template).unwrap().sign().unwrap()
}

#[test]
fn for_every_kind_of_key_a_client_accepts_what_is_issued_and_openssl_opens_the_roots_key() {
    for kind in KeyKind::ALL {
        let machines = Machines::new();
        machines.hold(kind.as_str(), "--permit mgmt.lan --permit 192.168.1.0/24 --permit fd00::/8");
        let ca = Ca::load(&machines.settings("ca", None), now()).unwrap();
        let chain = ca.active(now()).unwrap().chain_pem();
        for list in [&["a.mgmt.lan", "*.b.mgmt.lan"][..], &["192.168.1.7"], &["fd00::7", "a.mgmt.lan"]] {
            let verdict = machines.client_verifies(&leaf(&ca, list, KeyKind::P256), chain);
            assert!(verdict.status.success(), "{kind:?} {list:?}: {}", said(&verdict));
        }

        let text = std::fs::read_to_string(machines.path("root/root.key")).unwrap();
        assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        let open = |passphrase: &str| {
            let source = format!("file:{passphrase}");
            openssl(machines.all.path(), ["pkey", "-in", "root/root.key", "-noout", "-passin", &source])
        };
        let opened = open("pass");
        assert!(opened.status.success(), "{kind:?}: {}", said(&opened));
        assert!(!open("wrong").status.success());
    }
}

#[test]
fn the_certificates_say_what_the_profile_wants() {
    let machines = Machines::new();
    machines.hold("p256", "--permit *.mgmt.lan");
    let root = machines.text("root/root.pem");
    for fact in [
        "Subject: CN = Test Root",
        "CA:TRUE, pathlen:1",
        "X509v3 Basic Constraints: critical",
        "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n",
        "X509v3 Name Constraints: critical",
        "DNS:mgmt.lan",
        "IP:0.0.0.0/0.0.0.0",
        "X509v3 Subject Key Identifier",
        "Not Before: Nov 22 11:00:00 2026 GMT",
        "Not After : Nov 22 10:59:59 2046 GMT",
    ] {
        assert!(root.contains(fact), "{fact}: {root}");
    }
    let intermediate = machines.text("ca/intermediate.pem");
    for fact in [
        "Issuer: CN = Test Root",
        "Subject: CN = Test Intermediate",
        "CA:TRUE, pathlen:0",
        "X509v3 Authority Key Identifier",
        "X509v3 Name Constraints: critical",
        "DNS:mgmt.lan",
        "Not After : Nov 21 22:59:59 2036 GMT",
    ] {
        assert!(intermediate.contains(fact), "{fact}: {intermediate}");
    }

    let ca = Ca::load(&machines.settings("ca", None), now()).unwrap();
    for (kind, usage) in
        [(KeyKind::P256, "Digital Signature\n"), (KeyKind::Rsa3072, "Digital Signature, Key Encipherment\n")]
    {
        let der = leaf(&ca, &["a.mgmt.lan"], kind);
        std::fs::write(machines.path("leaf.pem"), pem::encode("CERTIFICATE", &der)).unwrap();
        let leaf = machines.text("leaf.pem");
        for fact in [
            "Version: 3 (0x2)",
            "Subject: CN = a.mgmt.lan",
            "X509v3 Subject Alternative Name: \n                DNS:a.mgmt.lan",
            "TLS Web Server Authentication, TLS Web Client Authentication",
            "CA Issuers - URI:http://ca.mgmt.lan/issuer.der",
            "URI:http://ca.mgmt.lan/issuer.crl",
            usage,
        ] {
            assert!(leaf.contains(fact), "{fact}: {leaf}");
        }
        assert!(!leaf.contains("Basic Constraints"), "{leaf}");
        std::fs::write(machines.path("leaf.der"), &der).unwrap();
        let parsed = openssl(machines.all.path(), ["asn1parse", "-inform", "DER", "-in", "leaf.der"]);
        assert!(parsed.status.success() && !said(&parsed).contains("Error"), "{}", said(&parsed));
    }
    let der = leaf(&ca, &["b.mgmt.lan"], KeyKind::P256);
    assert!(machines.client_verifies(&der, "").status.code() != Some(0), "the chain is needed");
}

#[test]
fn an_empty_subject_makes_the_names_critical() {
    let machines = Machines::new();
    machines.hold("p256", "--permit 192.168.1.0/24");
    let ca = Ca::load(&machines.settings("ca", None), now()).unwrap();
    let der = leaf(&ca, &["192.168.1.7"], KeyKind::P256);
    std::fs::write(machines.path("leaf.pem"), pem::encode("CERTIFICATE", &der)).unwrap();
    let text = machines.text("leaf.pem");
    assert!(
        text.contains("X509v3 Subject Alternative Name: critical\n                IP Address:192.168.1.7"),
        "{text}"
    );
    let verdict = machines.client_verifies(&der, ca.issuers()[0].chain_pem());
    assert!(verdict.status.success(), "{}", said(&verdict));
}

/// Our own checks are passed by: the intermediate's stolen key signs with OpenSSL, and the client must refuse.
#[test]
fn name_constraints_hold_against_somebody_with_the_intermediates_key() {
    for (permit, good, foreign) in [
        (
            "--permit mgmt.lan",
            "DNS:a.mgmt.lan",
            &["DNS:example.com", "DNS:mgmt.lan.evil", "IP:10.0.0.1", "IP:fd00::1"][..],
        ),
        ("--permit 10.0.0.0/8", "IP:10.1.2.3", &["DNS:a.mgmt.lan", "IP:11.0.0.1", "IP:fd00::1"]),
    ] {
        let machines = Machines::new();
        machines.hold("p256", permit);
        let steal = |name: &str| {
            let here = machines.path("ca");
            let extensions = format!("subjectAltName=critical,{name}\nextendedKeyUsage=serverAuth\n");
            std::fs::write(here.join("ext"), extensions + "authorityKeyIdentifier=keyid\n").unwrap();
            let request = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
            let made = openssl(
                &here,
                request.into_iter().chain(["-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/"]),
            );
            assert!(made.status.success(), "{}", said(&made));
            let sign =
                ["x509", "-req", "-in", "leaf.csr", "-CA", "intermediate.pem", "-CAkey", "intermediate.key"];
            let signed =
                openssl(&here, sign.into_iter().chain(["-extfile", "ext", "-days", "9", "-out", "leaf.pem"]));
            assert!(signed.status.success(), "{}", said(&signed));
            let chain = ["-CAfile", "../client/root.pem", "-untrusted", "intermediate.pem", "leaf.pem"];
            said(&openssl(&here, ["verify", "-no_check_time"].into_iter().chain(chain)))
        };
        let verdict = steal(good);
        assert!(verdict.contains("OK"), "{verdict}");
        for name in foreign {
            let verdict = steal(name);
            assert!(verdict.contains("subtree violation"), "{permit} {name}: {verdict}");
        }
    }
}

#[test]
fn without_name_constraints_everything_passes() {
    let machines = Machines::new();
    machines.hold("p256", "--permit *");
    assert!(!machines.text("root/root.pem").contains("Name Constraints"));
    let ca = Ca::load(&machines.settings("ca", None), now()).unwrap();
    let verdict = machines.client_verifies(
        &leaf(&ca, &["example.com", "10.0.0.1"], KeyKind::P256),
        ca.issuers()[0].chain_pem(),
    );
    assert!(verdict.status.success(), "{}", said(&verdict));
}

#[test]
fn a_wrong_or_missing_passphrase_signs_nothing() {
    let machines = Machines::new();
    machines.ctl("root create --dir @root --name Test --permit lan --passphrase-file @pass").unwrap();
    machines.ctl("intermediate request --dir @ca --name Below").unwrap();
    let sign = "root sign --dir @root --csr @ca/intermediate.csr --out @out.pem";
    let wrong = machines.ctl(&format!("{sign} --passphrase-file @wrong")).unwrap_err();
    assert!(wrong.contains("root.key") && wrong.contains("does not open"), "{wrong}");
    let missing = machines.ctl(sign).unwrap_err();
    assert!(missing.contains("--passphrase-file"), "{missing}");
    assert!(!machines.path("out.pem").exists());
    assert!(!wrong.contains("battery") && !missing.contains("horse"));
}

#[test]
fn an_offline_root_needs_a_word_about_its_secrecy_and_its_names() {
    let machines = Machines::new();
    for line in [
        "root create --dir @root --name Test --permit lan",
        "root create --dir @root --name Test --permit lan --no-passphrase --passphrase-file @pass",
        "root create --dir @root --name Test --no-passphrase",
        "root create --dir @root --name Test --permit 10.0.0.1/8 --no-passphrase",
        "root create --dir @root --name Test --permit lan --no-passphrase --key rsa2048",
        "root create --dir @root --name Test --permit lan --no-passphrase --lifetime soon",
    ] {
        assert!(machines.ctl(line).is_err(), "{line}");
        assert!(!machines.path("root").exists(), "{line}");
    }
    let (_, err) = machines.ctl("root create --dir @root --name Test --permit lan --no-passphrase").unwrap();
    assert!(err.contains("root.key is not encrypted"), "{err}");
}

#[test]
fn no_step_overwrites_anything() {
    let machines = Machines::new();
    machines.hold("p256", "--permit mgmt.lan");
    let before = (machines.snapshot("root"), machines.snapshot("ca"));
    for (line, why) in [
        ("root create --dir @root --name Other --permit lan --no-passphrase", "root.pem"),
        ("intermediate request --dir @ca --name Other", "intermediate.key"),
        (
            "root sign --dir @root --csr @root/intermediate.csr --out @root/intermediate.pem --passphrase-file @pass",
            "--out",
        ),
    ] {
        let refused = machines.ctl(line).unwrap_err();
        assert!(refused.contains(why) && refused.contains("overwritten"), "{refused}");
    }
    // A second certificate for the same key is another certificate.
    machines
        .ctl("root sign --dir @root --csr @root/intermediate.csr --out @second.pem --passphrase-file @pass")
        .unwrap();
    let refused = machines
        .ctl("intermediate install --dir @ca --certificate @second.pem --root @client/root.pem")
        .unwrap_err();
    assert!(refused.contains("intermediate.pem") && refused.contains("never overwritten"), "{refused}");
    // The same again is no harm.
    let (out, _) = machines
        .ctl("intermediate install --dir @ca --certificate @root/intermediate.pem --root @client/root.pem")
        .unwrap();
    assert!(out.contains("in place already"), "{out}");
    assert_eq!(before, (machines.snapshot("root"), machines.snapshot("ca")));
}

#[test]
fn a_certificate_for_another_key_or_root_is_not_installed() {
    let machines = Machines::new();
    machines.hold("p256", "--permit mgmt.lan");
    machines.ctl("intermediate request --dir @other --name Other").unwrap();
    let install = |certificate: &str, root: &str| {
        machines.ctl(&format!("intermediate install --dir @other --certificate {certificate} --root {root}"))
    };
    let mismatched = install("@root/intermediate.pem", "@root/root.pem").unwrap_err();
    assert!(mismatched.contains("another key"), "{mismatched}");
    machines.ctl("root create --dir @root2 --name Test_Root --permit mgmt.lan --no-passphrase").unwrap();
    let foreign = install("@root/intermediate.pem", "@root2/root.pem").unwrap_err();
    assert!(foreign.contains("does not verify"), "{foreign}");
    let swapped = install("@root/root.pem", "@root/intermediate.pem").unwrap_err();
    assert!(swapped.contains("intermediate.pem"), "{swapped}");
    let no_key = machines
        .ctl("intermediate install --dir @nowhere --certificate @root/intermediate.pem --root @root/root.pem")
        .unwrap_err();
    assert!(no_key.contains("intermediate request --dir"), "{no_key}");
    assert_eq!(machines.snapshot("other").len(), 2);
}

#[test]
fn an_expired_intermediate_is_told_with_both_times() {
    let machines = Machines::new();
    machines.hold("p256", "--permit mgmt.lan");
    let later = Timestamp::parse_rfc3339("2037-01-01T00:00:00Z").unwrap();
    let why = Ca::load(&machines.settings("ca", None), later).unwrap_err().to_string();
    for part in ["Test Intermediate", "2026-11-22T11:00:00Z", "2036-11-21T22:59:59Z", "2037-01-01T00:00:00Z"]
    {
        assert!(why.contains(part), "{part}: {why}");
    }
    let line = "intermediate install --dir @ca --certificate @ca/incoming.pem --root @ca/incoming-root.pem";
    assert!(machines.ctl_at(line, later).unwrap_err().contains("no issuer is valid"));
}

#[test]
fn an_intermediate_is_nested_in_its_root() {
    let machines = Machines::new();
    machines
        .ctl("root create --dir @root --name Test --permit mgmt.lan --lifetime 365d --no-passphrase")
        .unwrap();
    machines.ctl("intermediate request --dir @ca --name Below").unwrap();
    let sign = |rest: &str| machines.ctl(&format!("root sign --dir @root --csr @ca/intermediate.csr {rest}"));
    sign("--out @clamped.pem").unwrap();
    let end = "Not After : Nov 22 10:59:59 2027 GMT";
    assert!(machines.text("root/root.pem").contains(end) && machines.text("clamped.pem").contains(end));
    let longer = sign("--out @longer.pem --lifetime 400d").unwrap_err();
    assert!(longer.contains("2027-11-22T10:59:59Z") && longer.contains("leave --lifetime out"), "{longer}");
    sign("--out @narrow.pem --permit a.mgmt.lan --lifetime 90d").unwrap();
    assert!(machines.text("narrow.pem").contains("DNS:a.mgmt.lan"));
    for wider in ["lan", "*", "10.0.0.0/8"] {
        let refused = sign(&format!("--out @wider.pem --permit {wider}")).unwrap_err();
        assert!(refused.contains("forbids this --permit") && refused.contains("mgmt.lan"), "{refused}");
    }
    assert!(!machines.path("longer.pem").exists() && !machines.path("wider.pem").exists());
    let line = "root sign --dir @root --csr @ca/intermediate.csr --out @late.pem";
    let late = machines.ctl_at(line, now().plus(400 * DAY)).unwrap_err();
    assert!(late.contains("check the clock"), "{late}");
}

#[test]
fn a_bad_request_is_not_signed() {
    let machines = Machines::new();
    machines.ctl("root create --dir @root --name Test --permit mgmt.lan --no-passphrase").unwrap();
    let here = machines.all.path();
    let request = |arguments: &str| {
        let made =
            openssl(here, "req -new -nodes -keyout k -out r.csr".split(' ').chain(arguments.split(' ')));
        assert!(made.status.success(), "{}", said(&made));
        machines.ctl("root sign --dir @root --csr @r.csr --out @out.pem").map(|_| ())
    };
    let ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj";
    assert!(request("-newkey rsa:2048 -subj /CN=Below").unwrap_err().contains("3072"));
    assert!(request("-newkey rsa:1024 -subj /CN=Below").unwrap_err().contains("its key is RSA of 1024 bits"));
    assert!(request(&format!("{ec} /CN=Test")).unwrap_err().contains("the root's own name"));
    assert!(request(&format!("{ec} /O=Nobody")).unwrap_err().contains("common name"));
    assert!(request("-newkey ec -pkeyopt ec_paramgen_curve:secp256k1 -subj /CN=Below").is_err());
    let made = openssl(here, "req -new -key root/root.key -subj /CN=Below -out r.csr".split(' '));
    assert!(made.status.success(), "{}", said(&made));
    let own = machines.ctl("root sign --dir @root --csr @r.csr --out @out.pem").unwrap_err();
    assert!(own.contains("the key of the root") && own.contains("intermediate request"), "{own}");
    assert!(!machines.path("out.pem").exists());

    // One octet of the subject is changed after the request was signed.
    request(&format!("{ec} /CN=Below")).unwrap();
    std::fs::remove_file(machines.path("out.pem")).unwrap();
    let mut der = pem::read(&machines.path("r.csr"), "CERTIFICATE REQUEST").unwrap().remove(0);
    let at = der.windows(5).position(|w| w == b"Below").unwrap();
    der[at] = b'C';
    std::fs::write(machines.path("r.csr"), pem::encode("CERTIFICATE REQUEST", &der)).unwrap();
    let forged = machines.ctl("root sign --dir @root --csr @r.csr --out @out.pem").unwrap_err();
    assert!(forged.contains("r.csr") && forged.contains("signature"), "{forged}");
    assert!(!machines.path("out.pem").exists());
}

#[test]
fn others_requests_with_extensions_and_longer_subjects_are_signed() {
    let machines = Machines::new();
    machines.ctl("root create --dir @root --name Test --permit mgmt.lan --no-passphrase").unwrap();
    let arguments = "req -new -nodes -keyout k -out r.csr -newkey ec -pkeyopt ec_paramgen_curve:P-384 \
                     -subj /C=DE/O=Fleet/CN=Below -addext basicConstraints=critical,CA:TRUE \
                     -addext subjectKeyIdentifier=hash";
    assert!(openssl(machines.all.path(), arguments.split_whitespace()).status.success());
    machines.ctl("root sign --dir @root --csr @r.csr --out @out.pem").unwrap();
    let text = machines.text("out.pem");
    assert!(text.contains("Subject: C = DE, O = Fleet, CN = Below") && text.contains("pathlen:0"), "{text}");
    let verified =
        openssl(machines.all.path(), ["verify", "-no_check_time", "-CAfile", "root/root.pem", "out.pem"]);
    assert!(verified.status.success(), "{}", said(&verified));
}

#[test]
fn init_makes_a_ca_that_works_as_it_is() {
    let machines = Machines::new();
    let (out, err) = machines.ctl("init --dir @ca --url https://ca.mgmt.lan:8443").unwrap();
    assert_eq!(err.lines().filter(|line| line.contains("is not encrypted")).count(), 2, "{err}");
    let files: Vec<_> = machines.snapshot("ca").into_keys().collect();
    assert_eq!(
        files,
        ["acme-ca.toml", "intermediate.key", "intermediate.pem", "root.key", "root.pem"]
            .map(|name| machines.path("ca").join(name))
    );
    let ca = Ca::load(&machines.settings("ca", None), now()).unwrap();
    assert!(ca.warnings().is_empty());
    assert!(out.contains(&ca.root_fingerprint()), "{out}");
    machines.carry("ca/root.pem", "client/root.pem");
    let own = leaf(&ca, &["ca.mgmt.lan"], KeyKind::P256);
    let verdict = machines.client_verifies(&own, ca.active(now()).unwrap().chain_pem());
    assert!(verdict.status.success(), "{}", said(&verdict));
    assert!(ca.issuers()[0].permits(&names(&["x.lan"])[0]).is_err());

    let printed =
        openssl(&machines.path("ca"), ["x509", "-in", "root.pem", "-noout", "-fingerprint", "-sha256"]);
    let digits = said(&printed).trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
    assert_eq!(digits, ca.root_fingerprint());

    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &str| std::fs::metadata(machines.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("ca"), mode("ca/root.key"), mode("ca/intermediate.key")), (0o700, 0o600, 0o600));

    let config = std::fs::read_to_string(machines.path("ca/acme-ca.toml")).unwrap();
    let config: toml::Table = config.parse().unwrap();
    assert_eq!(config["server"]["url"].as_str(), Some("https://ca.mgmt.lan:8443"));
    assert_eq!(config["server"]["listen"][0].as_str(), Some("[::]:8443"));
}

#[test]
fn init_with_a_passphrase_encrypts_both_keys_and_names_the_file() {
    let machines = Machines::new();
    std::fs::create_dir(machines.path("ca")).unwrap();
    machines.carry("pass", "ca/ca.pass");
    let (_, err) =
        machines.ctl("init --dir @ca --url https://ca.mgmt.lan --passphrase-file @ca/ca.pass").unwrap();
    assert_eq!(err, "");
    for key in ["ca/root.key", "ca/intermediate.key"] {
        let text = std::fs::read_to_string(machines.path(key)).unwrap();
        assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{key}");
    }
    let config = std::fs::read_to_string(machines.path("ca/acme-ca.toml")).unwrap();
    let config: toml::Table = config.parse().unwrap();
    assert_eq!(config["ca"]["issuer"][0]["passphrase_file"].as_str(), Some("ca.pass"));
    Ca::load(&machines.settings("ca", Some("pass")), now()).unwrap();
    assert!(Ca::load(&machines.settings("ca", Some("wrong")), now()).is_err());
    assert!(Ca::load(&machines.settings("ca", None), now()).is_err());
}

#[test]
fn init_twice_is_refused_and_leaves_everything_as_it_was() {
    let machines = Machines::new();
    machines.ctl("init --dir @ca --url https://ca.mgmt.lan").unwrap();
    let before = machines.snapshot("ca");
    let refused = machines.ctl("init --dir @ca --url https://other.lan").unwrap_err();
    assert!(refused.contains("acme-ca.toml") && refused.contains("nothing is overwritten"), "{refused}");
    assert_eq!(machines.snapshot("ca"), before);

    // One file of somebody's is enough.
    std::fs::create_dir(machines.path("half")).unwrap();
    std::fs::write(machines.path("half/acme-ca.toml"), "mine").unwrap();
    assert!(machines.ctl("init --dir @half --url https://ca.mgmt.lan").is_err());
    assert_eq!(machines.snapshot("half").len(), 1);
}

#[test]
fn init_refuses_what_could_not_work_and_writes_nothing() {
    let machines = Machines::new();
    for (arguments, why) in [
        ("--url https://ca.mgmt.lan --permit other.lan", "add --permit ca.mgmt.lan"),
        ("--url https://192.168.1.10 --permit mgmt.lan", "add --permit 192.168.1.10"),
        ("--url http://ca.mgmt.lan", "https"),
        ("--url https://ca.mgmt.lan --permit lan --permit *", "leave"),
        ("--url https://ca.mgmt.lan --passphrase-file @missing", "missing"),
        (
            "--url https://ca.mgmt.lan --name aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "64 characters",
        ),
    ] {
        let refused = machines.ctl(&format!("init --dir @ca {arguments}")).unwrap_err();
        assert!(refused.contains(why), "{arguments}: {refused}");
        assert!(!machines.path("ca").exists(), "{arguments}");
    }
}

#[test]
fn init_for_an_address_or_a_single_label_permits_just_that() {
    for (url, good, foreign) in [
        ("https://192.168.1.10", "192.168.1.10", "192.168.1.11"),
        ("https://localhost:8443", "localhost", "example.com"),
        ("https://ca.lan", "x.lan", "x.example"),
    ] {
        let machines = Machines::new();
        machines.ctl(&format!("init --dir @ca --url {url}")).unwrap();
        let ca = Ca::load(&machines.settings("ca", None), now()).unwrap();
        assert_eq!(ca.issuers()[0].permits(&names(&[good])[0]), Ok(()), "{url}");
        assert!(ca.issuers()[0].permits(&names(&[foreign])[0]).is_err(), "{url}");
    }
}

#[test]
fn install_with_a_url_writes_a_configuration_once() {
    let machines = Machines::new();
    machines.hold("p256", "--permit mgmt.lan");
    let install = |url: &str| {
        machines.ctl(&format!(
            "intermediate install --dir @ca --certificate @ca/incoming.pem --root @ca/incoming-root.pem --url {url}"
        ))
    };
    assert!(install("https://ca.example").unwrap_err().contains("could not certify its own host"));
    assert!(!machines.path("ca/acme-ca.toml").exists());
    install("https://ca.mgmt.lan").unwrap();
    let edited = std::fs::read_to_string(machines.path("ca/acme-ca.toml")).unwrap() + "# edited\n";
    std::fs::write(machines.path("ca/acme-ca.toml"), &edited).unwrap();
    assert!(install("https://ca.mgmt.lan/").unwrap().0.contains("everything is in place already"));
    let other = install("https://acme.mgmt.lan").unwrap_err();
    for words in ["acme-ca.toml", "server.url = \"https://ca.mgmt.lan\"", "leave --url out"] {
        assert!(other.contains(words), "{words}: {other}");
    }
    assert_eq!(std::fs::read_to_string(machines.path("ca/acme-ca.toml")).unwrap(), edited);
    std::fs::write(machines.path("ca/acme-ca.toml"), "edited").unwrap();
    let broken = install("https://ca.mgmt.lan").unwrap_err();
    assert!(broken.contains("--url cannot be held against it") && broken.contains("line 1"), "{broken}");
}

#[test]
fn nothing_that_is_printed_is_secret() {
    let machines = Machines::new();
    let (out, err) =
        machines.ctl("init --dir @ca --url https://ca.mgmt.lan --passphrase-file @pass").unwrap();
    let all = out + &err;
    assert!(!all.contains("correct horse") && !all.contains("PRIVATE KEY"), "{all}");
}
