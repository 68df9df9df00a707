//! Hostile octets for every parser that reads what strangers send. Each target of `targets/` takes octets, asserts what
//! must hold of them whatever they are, and says in a few words what it made of them; here they are changed at random from
//! the files in `fixtures/`, and what brings new words is changed further. It needs no compiler but the stable one and
//! finds what is shallow; `cargo fuzz` finds the rest with the same targets (see `Cargo.toml` beside this file).
//!
//! `FUZZ_SECONDS` is how long each target is run and `FUZZ_SEED` a number that chooses the changes: without one they are
//! the same each time, so that a test fails for what was changed in the code and not by chance. What fails is kept in a file that the message names: `FUZZ_INPUT=FILE`
//! runs that one alone, and once it is mended it belongs into `fixtures/fuzz/`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod mutate;
mod targets;

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::Random;

/// A target: what it makes of the octets.
type Target = fn(&[u8]) -> String;

#[test]
fn jws() {
    fuzz("jws", &["jws/accepted", "jws/refused", "jws/forged", "fuzz/jws"], targets::jws);
}

#[test]
fn jwk() {
    fuzz("jwk", &["jws/jwk", "jws/keys", "fuzz/jwk"], targets::jwk);
}

#[test]
fn csr() {
    fuzz("csr", &["csr/accepted", "csr/refused", "fuzz/csr"], targets::csr);
}

#[test]
fn identifier() {
    fuzz("identifier", &["fuzz/identifier"], targets::identifier);
}

#[test]
fn dns() {
    fuzz("dns", &["fuzz/dns"], targets::dns);
}

#[test]
fn http01() {
    fuzz("http01", &["fuzz/http01"], targets::http01);
}

#[test]
fn tls_alpn() {
    fuzz("tls_alpn", &["tls-alpn/accepted", "tls-alpn/refused", "fuzz/tls_alpn"], targets::tls_alpn);
}

#[test]
fn served() {
    fuzz("served", &["tls-alpn/accepted", "tls-alpn/refused", "fuzz/tls_alpn"], targets::served);
}

fn fuzz(name: &str, folders: &[&str], target: Target) {
    if let Ok(file) = std::env::var("FUZZ_INPUT") {
        target(&fs::read(file).unwrap());
        return;
    }
    let mut corpus: Vec<Vec<u8>> = folders.iter().flat_map(|folder| files(folder)).collect();
    assert!(!corpus.is_empty(), "{name} has nothing to begin with");
    let mut words = HashSet::new();
    for input in &corpus {
        words.insert(shape(&run(name, target, input)));
    }
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seconds = number("FUZZ_SECONDS").unwrap_or(1);
    let (until, before) = (Instant::now() + Duration::from_secs(seconds), resident());
    let (mut random, mut inputs) = (Random::seeded(number("FUZZ_SEED").unwrap_or_default()), 0u64);
    while Instant::now() < until {
        inputs += 1;
        let input = mutate::change(&corpus, &mut random);
        if words.insert(shape(&run(name, target, &input))) && corpus.len() < LARGEST_CORPUS {
            corpus.push(input);
        }
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < MEMORY, "{name} left {grown} KiB more in memory");
    // Not by `eprintln!`, which the test harness swallows.
    let report = format!("fuzz: {name}: {inputs} inputs, {} kinds of answer\n", words.len());
    std::io::stderr().write_all(report.as_bytes()).unwrap();
}

/// One input, with everything that may go wrong for its file.
fn run(name: &str, target: Target, input: &[u8]) -> String {
    let begun = Instant::now();
    let made = catch_unwind(AssertUnwindSafe(|| target(input)));
    let failed = match &made {
        Ok(_) if begun.elapsed() > LONGEST => format!("took {:?}", begun.elapsed()),
        Ok(_) => String::new(),
        Err(_) => "failed".to_owned(),
    };
    if !failed.is_empty() {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}-{}", std::process::id()));
        fs::write(&file, input).unwrap();
        let again = format!("FUZZ_INPUT={} cargo test --test fuzz {name}", file.display());
        if let Err(why) = made {
            let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
            resume_unwind(Box::new(format!("{name} {failed}: {why}; again with: {again}")));
        }
        panic!("{name} {failed}; again with: {again}");
    }
    made.unwrap_or_default()
}

/// The words without what is only a value.
fn shape(words: &str) -> String {
    let is_word = |word: &&str| {
        word.len() < 15 && word.bytes().all(|b| b.is_ascii_alphabetic() || b":,;()".contains(&b))
    };
    words.split(' ').filter(is_word).take(16).collect::<Vec<_>>().join(" ")
}

fn files(folder: &str) -> Vec<Vec<u8>> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder);
    let Ok(entries) = fs::read_dir(&folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().filter(|path| path.is_file()).map(|path| fs::read(path).unwrap()).collect()
}

/// What this process holds in memory, in KiB; nothing where the system does not tell.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// How long one input may take. Most take microseconds; a debug build judges an RSA key of 8192 bits in this.
const LONGEST: Duration = Duration::from_secs(5);
/// How much memory may be held afterwards, by all targets that run beside each other, in KiB.
const MEMORY: u64 = 256 * 1024;
const LARGEST_CORPUS: usize = 4000;
