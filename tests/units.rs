//! The unit for other distributions carries the sandbox of NixOS' unit, no more and no less: what is tested of the one on
//! machines then holds for the other.

use std::collections::BTreeMap;

#[test]
fn the_two_units_have_the_same_sandbox() {
    let (nixos, mut other) = (sandbox_of_nixos(), service());
    for key in OF_THE_PROGRAM {
        assert!(other.remove(*key).is_some(), "{key} is missing");
    }
    assert!(nixos.len() > 30, "{nixos:?}");
    assert_eq!(nixos, other);
}

/// nixos/unit.nix: one directive a line, with a word, a number, a boolean, or a list of words.
fn sandbox_of_nixos() -> BTreeMap<String, Vec<String>> {
    let lines = NIXOS.lines().filter_map(|line| line.trim().strip_suffix(';')?.split_once(" = "));
    lines.map(|(key, value)| (key.to_owned(), words(&value.replace(['[', ']', '"'], " ")))).collect()
}

/// The directives of `[Service]`; those that stand several times are one list.
fn service() -> BTreeMap<String, Vec<String>> {
    let (_, service) = OTHER.split_once("[Service]\n").expect("the section is there");
    let (service, _) = service.split_once("\n[Install]").expect("the section ends");
    let mut directives = BTreeMap::<String, Vec<String>>::new();
    for line in service.lines().filter(|line| !line.starts_with('#')) {
        let Some((key, value)) = line.split_once('=') else { continue };
        directives.entry(key.to_owned()).or_default().extend(words(value));
    }
    directives
}

fn words(value: &str) -> Vec<String> {
    let word = |word: &str| if word == "true" { "yes".to_owned() } else { word.to_owned() };
    value.split_whitespace().map(word).collect()
}

const NIXOS: &str = include_str!("../nixos/unit.nix");
const OTHER: &str = include_str!("../nixos/systemd/acme-ca.service");
/// What concerns the program and not its sandbox. NixOS renders these from options.
const OF_THE_PROGRAM: &[&str] =
    &["Type", "ExecStart", "ExecReload", "WatchdogSec", "Restart", "RestartSec", "LoadCredential"];
