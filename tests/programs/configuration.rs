//! A configuration that cannot stand is refused by every program, with the key and with what would do. That every
//! single value is judged is tested beside the code; here it is that the programs say so.

use std::fs;
use std::net::TcpListener;

use crate::program::{ACME_CA, CA_CTL, by_nobody, check, close, ctl, ended, hand_over, is_root, serve};
use crate::support::Ca;
use crate::support::ports::free_port;

/// A change to a good configuration, and what is said about it.
const BAD: &[(&str, &[&str])] = &[
    ("[server]\nurl = 7", &["line ", "a text in quotes would do"]),
    ("[server]\nurl = \"http://localhost\"", &["server.url", "https://"]),
    ("[server]\nlisten = [\"localhost:443\"]", &["server.listen", "localhost:443", "[::]:443"]),
    ("[server]\nlissten = []", &["unknown key lissten", "listen is the nearest"]),
    ("[sever]\nx = 1", &["unknown key sever", "server is the nearest"]),
    ("[store]\nurl = \"mysql://x\"", &["store.url", "sqlite:", "postgres://"]),
    ("[ca]\nissuer = []", &["ca.issuer", "[[ca.issuer]]"]),
    ("[resolver]\nservers = [\"localhost\"]", &["resolver.servers", "localhost"]),
    ("[resolver]\ntimeout = \"1h\"", &["resolver.timeout", "100ms to 30s"]),
    ("[resolver.pins]\n\"a.lan\" = [\"a\"]", &["resolver.pins.\"a.lan\"", "IP address"]),
    ("[validation]\nchallenges = [\"dns-02\"]", &["validation.challenges", "http-01"]),
    ("[validation]\nhttp_port = 70000", &["line ", "70000"]),
    ("[policy]\nallow = [\"a..b\"]", &["policy.allow", "accepted are"]),
    ("[profiles.default]\nlifetime = \"3y\"", &["profiles.default.lifetime", "825d"]),
    ("[renewal]\nwarn = 2.0", &["renewal", "0 < warn < critical < 1"]),
];

#[test]
fn a_bad_value_is_refused_by_every_program_with_its_key_and_what_would_do() {
    let ca = Ca::new();
    let good = fs::read(ca.config()).expect("read");
    for (change, fragments) in BAD {
        ca.configure(change);
        for mut command in [check(&ca), serve(&ca), ctl(&ca, &["list"])] {
            let said = ended(&mut command);
            said.must_be(1, fragments);
            assert_eq!(
                said.err.matches("acme-ca.toml").count(),
                1,
                "every program says in which file: {said}"
            );
        }
        fs::write(ca.config(), &good).expect("written");
    }
    assert!(!ca.path("ca.db").exists(), "nothing was made by a program that refused");
}

#[test]
fn a_missing_key_is_named() {
    let ca = Ca::new();
    let good = fs::read_to_string(ca.config()).expect("read");
    let without = good.replace("root = ", "# root = ");
    assert_ne!(good, without);
    fs::write(ca.config(), without).expect("written");
    ended(&mut check(&ca)).must_be(1, &["ca.root: it is missing"]);
    fs::write(ca.config(), "").expect("written");
    ended(&mut serve(&ca)).must_be(1, &["server", "missing"]);
}

#[test]
fn a_file_that_is_not_there_or_no_toml_or_no_text_is_named() {
    let ca = Ca::new();
    fs::write(ca.config(), "[server\n").expect("written");
    ended(&mut check(&ca)).must_be(1, &["line 1"]);
    fs::write(ca.config(), [0xff, 0xfe, 0]).expect("written");
    ended(&mut check(&ca)).must_be(1, &["acme-ca.toml", "UTF-8"]);
    fs::remove_file(ca.config()).expect("removed");
    for mut command in [check(&ca), serve(&ca), ctl(&ca, &["list"])] {
        let said = ended(&mut command);
        said.must_be(1, &["acme-ca.toml", "No such file", "--config"]);
        assert_eq!(said.err.matches("acme-ca.toml").count(), 1, "once is enough: {said}");
    }
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    let ca = Ca::new();
    hand_over(&ca);
    close(&ca.config(), 0o000);
    ended(&mut by_nobody(&check(&ca))).must_be(1, &["acme-ca.toml", "Permission denied"]);
    ended(&mut by_nobody(&serve(&ca))).must_be(1, &["acme-ca.toml", "Permission denied"]);
    ended(&mut by_nobody(&ctl(&ca, &["list"]))).must_be(77, &["acme-ca.toml", "Permission denied"]);
}

#[test]
fn a_good_configuration_is_said_to_be_good_and_nothing_is_made() {
    let ca = Ca::new();
    let said = ended(&mut check(&ca));
    said.must_be(0, &["acme-ca.toml: good"]);
    assert_eq!(said.out, "", "words go to standard error");
    assert!(!ca.path("ca.db").exists(), "judging makes no store");
}

#[test]
fn the_file_alone_is_judged_where_its_keys_are_not_at_hand() {
    let ca = Ca::new();
    fs::remove_file(ca.path("intermediate.key")).expect("removed");
    ended(&mut check(&ca)).must_be(1, &["intermediate.key", "No such file"]);
    ended(check(&ca).arg("--file-only")).must_be(0, &["good"]);
    ca.configure("[server]\nlissten = []");
    ended(check(&ca).arg("--file-only")).must_be(1, &["lissten"]);
}

#[test]
fn the_configuration_is_found_by_the_environment_too() {
    let ca = Ca::new();
    let mut command = std::process::Command::new(ACME_CA);
    ended(command.arg("check-config").env("ACME_CA_CONFIG", ca.config())).must_be(0, &["good"]);
    let mut command = std::process::Command::new(CA_CTL);
    ended(command.arg("list").env("ACME_CA_CONFIG", ca.config())).must_be(69, &["there is no store"]);
}

#[test]
fn a_port_that_is_taken_is_named_with_its_key() {
    for key in ["listen", "plain_listen", "status_listen"] {
        let ca = Ca::new();
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("bound").to_string();
        ca.configure(&format!("[server]\n{key} = [\"{address}\"]"));
        let said = ended(&mut serve(&ca));
        said.must_be(1, &[&format!("server.{key}"), &address, "another program has this port", "ss -ltnp"]);
        assert!(!ca.path("ca.db").exists(), "{said}");
    }
}

#[test]
fn an_address_that_this_host_has_not_is_named_with_its_key() {
    let ca = Ca::new();
    let address = format!("192.0.2.1:{}", free_port());
    ca.configure(&format!("[server]\nstatus_listen = [\"{address}\"]"));
    ended(&mut serve(&ca)).must_be(1, &["server.status_listen", &address]);
}

#[test]
fn a_port_that_needs_a_privilege_is_named_with_its_key_and_what_would_do() {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    if first.trim().parse().is_ok_and(|first: u16| first < 80) {
        // The machine lets everybody have it.
        return;
    }
    let ca = Ca::new();
    hand_over(&ca);
    ca.configure("[server]\nplain_listen = [\"127.0.0.1:79\"]");
    ended(&mut by_nobody(&serve(&ca)))
        .must_be(1, &["server.plain_listen", "127.0.0.1:79", "CAP_NET_BIND_SERVICE"]);
    assert!(is_root() || !ca.path("ca.db").exists());
}

#[test]
fn a_url_whose_host_the_name_constraints_forbid_is_refused() {
    let ca = Ca::new();
    ca.configure("[server]\nurl = \"https://ca.elsewhere.lan\"");
    for mut command in [check(&ca), serve(&ca)] {
        ended(&mut command).must_be(1, &["server.url", "ca.elsewhere.lan", "name constraints"]);
    }
}
