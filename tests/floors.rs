//! Imports only go down. The floors of the design, read from the workspace's metadata (which crate depends on which)
//! and from the sources (which room names which). A room that is not in the table fails the test: whoever adds one says
//! where it stands.

#[path = "floors/source.rs"]
mod source;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

use source::{Source, tree};

/// A room of the server, the rooms that it may name, and the crates that it may not.
struct Room {
    name: &'static str,
    rooms: &'static [&'static str],
    never: &'static [&'static str],
}

const fn room(name: &'static str, rooms: &'static [&'static str], never: &'static [&'static str]) -> Room {
    Room { name, rooms, never }
}

/// Crates with sockets, async or SQL: a pure room names none of them.
const IMPURE: &[&str] = &["store", "sqlx", "tokio", "axum", "hyper", "hyper_util", "futures_util"];
/// What a room that has sockets of its own still does not know.
const NO_STORE: &[&str] = &["store", "sqlx", "axum"];
/// SQL is `store`'s alone.
const NO_SQL: &[&str] = &["sqlx"];

const ROOMS: &[Room] = &[
    // 1: rooms. They know `acme`, not `store`, not each other.
    room("ca", &["policy"], IMPURE),
    room("policy", &[], IMPURE),
    room("metrics", &[], IMPURE),
    room("clock", &[], NO_STORE),
    room("resolver", &[], NO_STORE),
    room("limits", &[], NO_STORE),
    room("possession", &[], NO_STORE),
    room("probe", &["possession", "resolver"], NO_STORE),
    room("notify", &["resolver"], NO_STORE),
    // Reads one file into the settings that the rooms define.
    room("config", &["ca", "limits", "policy", "resolver", "validate", "probe", "notify"], NO_STORE),
    // 2: works. Rooms and the store.
    room("issuance", &["ca", "policy", "clock", "audit", "random"], NO_SQL),
    room("revocation", &["ca", "policy", "clock", "audit", "random"], NO_SQL),
    room("validate", &["possession", "resolver", "clock", "audit", "random"], NO_SQL),
    room("recheck", &["validate"], NO_SQL),
    room("watch", &["ca", "policy", "resolver", "probe", "notify", "clock", "audit", "random"], NO_SQL),
    // What the doors share.
    room("recent", &["clock", "policy"], NO_SQL),
    room(
        "app",
        &[
            "audit",
            "recent",
            "ca",
            "clock",
            "config",
            "issuance",
            "limits",
            "metrics",
            "notify",
            "policy",
            "random",
            "resolver",
            "revocation",
            "validate",
            "watch",
            "probe",
        ],
        NO_SQL,
    ),
    // 3: doors. Not each other.
    room(
        "web",
        &[
            "recent",
            "app",
            "audit",
            "ca",
            "issuance",
            "limits",
            "metrics",
            "policy",
            "random",
            "recheck",
            "revocation",
            "validate",
            "watch",
        ],
        NO_SQL,
    ),
    room(
        "tasks",
        &[
            "recent",
            "app",
            "audit",
            "ca",
            "clock",
            "issuance",
            "limits",
            "metrics",
            "notify",
            "policy",
            "probe",
            "random",
            "recheck",
            "resolver",
            "revocation",
            "stopped",
            "validate",
            "watch",
        ],
        NO_SQL,
    ),
    // 4: the front, and what the programs are made of.
    room("serve", &["app", "clock", "config", "metrics", "random", "stopped", "tasks", "web"], NO_SQL),
    room(
        "ctl",
        &[
            "audit",
            "ca",
            "clock",
            "config",
            "notify",
            "policy",
            "probe",
            "random",
            "resolver",
            "revocation",
            "validate",
            "watch",
        ],
        &["sqlx", "axum"],
    ),
    room("quickstart", &["ca", "clock", "config", "ctl", "serve"], NO_SQL),
];

/// A word, and the only places where it may stand: a file, or a folder with a slash at its end.
const WORDS: &[(&str, &[&str])] = &[
    ("SystemTime", &["src/clock.rs"]),
    ("openssl::", &["src/ca/"]),
    ("josekit::", &["acme/src/jwk.rs", "acme/src/jwk/", "acme/src/jws.rs", "acme/src/jws/"]),
    ("sqlx::", &["store/src/"]),
    ("axum::", &["src/web/", "src/serve/"]),
    ("unsafe", &[]),
];

/// What the protocol crate never says: it is given time, randomness and bytes.
const NOT_IN_ACME: &[&str] = &[
    "std::fs",
    "std::io",
    "std::env",
    "std::process",
    "std::thread",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "SystemTime",
    "Instant::now",
    "async",
    "await",
    "rand::",
];

/// Crates that the protocol does without, at any depth.
const NOT_UNDER_ACME: &[&str] =
    &["tokio", "sqlx", "axum", "rcgen", "hickory", "hyper", "rustls", "store", "acme-ca", "reqwest"];
/// The same for what is kept.
const NOT_UNDER_STORE: &[&str] = &["axum", "rcgen", "hickory", "hyper", "acme-ca"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn crates_depend_downwards() {
    let metadata = metadata();
    for (name, never) in [("acme", NOT_UNDER_ACME), ("store", NOT_UNDER_STORE)] {
        let below = below(&metadata, name);
        assert!(below.len() > 3, "{name} has dependencies: {below:?}");
        for unwanted in never {
            let found: Vec<_> = below.iter().filter(|dependency| is_of(dependency, unwanted)).collect();
            assert!(found.is_empty(), "{name} depends on {found:?}");
        }
    }
}

#[test]
fn rooms_import_downwards() {
    let sources = tree(root(), "src");
    assert!(sources.len() > 10, "the sources are found");
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| !is_top(source)) {
        match ROOMS.iter().find(|room| room.name == source.room()) {
            Some(room) => wrong.extend(judge(source, room)),
            None => wrong.push(format!("{}: the room {} stands on no floor", source.path, source.room())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn doors_are_imported_by_serve_alone() {
    // By the table itself, so that no row is widened without a thought.
    for room in ROOMS.iter().filter(|room| room.name != "serve") {
        let doors: Vec<_> = room.rooms.iter().filter(|other| ["web", "tasks"].contains(other)).collect();
        assert!(doors.is_empty(), "{} may import {doors:?}", room.name);
    }
}

#[test]
fn what_belongs_in_one_place_is_there_alone() {
    let sources: Vec<Source> =
        ["src", "acme/src", "store/src"].iter().flat_map(|dir| tree(root(), dir)).collect();
    let mut wrong = Vec::new();
    for (word, places) in WORDS {
        for source in sources.iter().filter(|source| source.says(word)) {
            let allowed = places.iter().any(|place| match place.strip_suffix('/') {
                Some(_) => source.path.starts_with(place),
                None => source.path == *place,
            });
            if !allowed {
                wrong.push(format!("{}: {word} belongs in {places:?}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_protocol_is_pure() {
    let mut wrong = Vec::new();
    for source in tree(root(), "acme/src") {
        for word in NOT_IN_ACME.iter().filter(|word| source.says(word)) {
            wrong.push(format!("{}: {word}", source.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_forbidden_import_is_found_in_every_form() {
    let room = room("policy", &["clock"], IMPURE);
    for text in [
        "use crate::web::router;",
        "use crate::{clock::Clock, web};",
        "use crate::{\n    clock,\n    web::{self, error::Error},\n};",
        "fn f() { crate::web::router(); }",
        "use super::web;",
        "use super::{clock, web};",
        "use acme_ca::web;",
        "use store::Store;",
        "use store;",
        "use ::store::Store;",
        "fn f(s: &store::Store) {}",
        "use {acme::id, store::Store};",
        "pub use tokio as t;",
        "#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::web;",
    ] {
        let source = Source::new("src/policy.rs", text);
        assert_eq!(judge(&source, &room).len(), 1, "{text}: {:?}", judge(&source, &room));
    }
    let nested = Source::new("src/policy/rule.rs", "use super::super::web;");
    assert_eq!(judge(&nested, &room).len(), 1);
}

#[test]
fn what_only_looks_like_an_import_is_let_through() {
    let room = room("policy", &["clock"], IMPURE);
    for text in [
        "use crate::clock::Clock;",
        "use crate::policy::Rule;",
        "use crate::{clock, policy::{Rule, web}};",
        "// use crate::web;",
        "/* use crate::web; /* nested */ use store::Store; */",
        "/// See [`crate::web`] and `store::Store`.",
        "const S: &str = \"use crate::web; store::Store\";",
        "const R: &str = r#\"use \"crate::web\" \"#;",
        "fn f() { app.store.ping(); let c = '\"'; let web = 1; }",
        "use self::store::Rule;",
        "use acme::store::Rule;",
        "fn life<'a>(x: &'a str) {}",
        "#[cfg(test)]\nmod tests {\n    use crate::web; // }\n    fn f() { let b = \"}\"; }\n}",
        "#[cfg(test)]\nuse crate::web;",
    ] {
        let source = Source::new("src/policy.rs", text);
        assert!(judge(&source, &room).is_empty(), "{text}: {:?}", judge(&source, &room));
    }
    let nested = Source::new("src/policy/rule.rs", "use super::web; // the sibling src/policy/web.rs");
    assert!(judge(&nested, &room).is_empty());
}

/// What a file names that its room may not.
fn judge(source: &Source, room: &Room) -> Vec<String> {
    let mut wrong = Vec::new();
    for named in source.names_of_crate() {
        let own = named == room.name || named.chars().next().is_some_and(char::is_uppercase);
        if !own && !room.rooms.contains(&named.as_str()) {
            wrong.push(format!("{}: {} may not import crate::{named}", source.path, room.name));
        }
    }
    for unwanted in room.never.iter().filter(|unwanted| source.names_crate(unwanted)) {
        wrong.push(format!("{}: {} may not name the crate {unwanted}", source.path, room.name));
    }
    wrong
}

/// The library's own first file and the programs stand above all floors.
fn is_top(source: &Source) -> bool {
    source.path == "src/lib.rs" || source.path.starts_with("src/bin/")
}

/// `hyper` means `hyper-util` too, and `rustls` does not mean `rustls-pki-types`, which is types alone.
fn is_of(dependency: &str, unwanted: &str) -> bool {
    let derived = dependency.strip_prefix(unwanted).is_some_and(|rest| rest.starts_with('-'));
    dependency == unwanted || (derived && unwanted != "rustls")
}

fn metadata() -> Metadata {
    // For this machine alone: what other systems need was perhaps never downloaded.
    let rustc = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let text = String::from_utf8_lossy(&rustc.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc says its host");
    let options = ["--locked", "--filter-platform", host].map(str::to_owned);
    let manifest = root().join("Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).other_options(options).exec().expect("cargo metadata")
}

/// The names of everything that a workspace member is built with, at any depth.
fn below(metadata: &Metadata, member: &str) -> BTreeSet<String> {
    let names: HashMap<&PackageId, String> =
        metadata.packages.iter().map(|package| (&package.id, package.name.to_string())).collect();
    let nodes = &metadata.resolve.as_ref().expect("resolved").nodes;
    let nodes: HashMap<&PackageId, _> = nodes.iter().map(|node| (&node.id, node)).collect();
    let first = metadata.workspace_members.iter().find(|id| names[id] == member).expect("a member");
    let (mut found, mut open) = (BTreeSet::new(), vec![first]);
    while let Some(id) = open.pop() {
        for dependency in &nodes[id].deps {
            let built = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if built && found.insert(names[&dependency.pkg].clone()) {
                open.push(&dependency.pkg);
            }
        }
    }
    found
}
