//! The README is held against the program: its configurations are read, its table of keys is complete and no longer
//! than the truth, and its command lines are ones that the programs take. What the commands print is not looked at.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use acme_ca::config::Config;
use acme_ca::ctl;
use acme_ca::watch::rule::Rule;
use clap::Parser as _;

#[test]
fn every_configuration_is_accepted() {
    let blocks = blocks("toml");
    assert!(
        blocks.iter().any(|block| block.starts_with(WHOLE_FILE)),
        "the deployment's configuration is there"
    );
    for block in blocks {
        let text = if block.starts_with(WHOLE_FILE) { block } else { completed(&block) };
        if let Err(error) = Config::parse(&text, Path::new("/etc/acme-ca")) {
            panic!("{error} in\n{text}");
        }
    }
}

#[test]
fn the_table_of_keys_has_every_key_and_no_other() {
    let mut known = BTreeSet::new();
    collect(&[], &mut known);
    assert!(known.contains("server.url") && known.contains("profiles.NAME.lifetime"), "{known:?}");
    let documented: BTreeSet<String> =
        section("## Configuration reference").lines().filter_map(first_cell).collect();
    let missing: Vec<_> = known.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&known).collect();
    assert!(missing.is_empty() && invented.is_empty(), "missing: {missing:?}; unknown: {invented:?}");
}

#[test]
fn the_table_of_alerts_is_that_of_the_program() {
    let rows: Vec<String> = Rule::ALL
        .iter()
        .map(|rule| {
            let row = rule.row();
            let severities: Vec<&str> = row.severities.iter().map(|severity| severity.as_str()).collect();
            let mut again: Vec<String> =
                row.severities.iter().map(|severity| rule.again(*severity).to_string()).collect();
            again.dedup();
            let (severities, again) = (severities.join(", "), again.join(", "));
            format!("| `{rule}` | {} | {severities} | {again} | `{}` |", row.when, row.key)
        })
        .collect();
    let documented: Vec<&str> =
        section("## Alerts").lines().filter(|line| line.starts_with("| `")).take(rows.len()).collect();
    assert_eq!(documented, rows, "the table of the README is\n{}", rows.join("\n"));
}

#[test]
fn every_command_line_is_accepted() {
    let (mut operator, mut server) = (0, 0);
    for line in blocks("sh").iter().flat_map(|block| commands(block)) {
        let words = words(&line);
        match program(&words) {
            Some(("ca-ctl", arguments)) => {
                let parsed = ctl::Cli::try_parse_from(std::iter::once("ca-ctl").chain(arguments));
                assert!(
                    parsed.is_ok(),
                    "{line}\n{}",
                    parsed.err().map(|e| e.to_string()).unwrap_or_default()
                );
                operator += 1;
            }
            // `--help` behind everything else: clap judges what stands before it, and nothing is done.
            Some(("acme-ca", arguments)) => {
                let acme_ca = env!("CARGO_BIN_EXE_acme-ca");
                let output = Command::new(acme_ca).args(arguments).arg("--help").output().unwrap();
                assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
                server += 1;
            }
            _ => {}
        }
    }
    assert!(operator >= 10 && server >= 2, "{operator} of ca-ctl and {server} of acme-ca were found");
}

#[test]
fn every_file_that_it_links_to_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for link in README.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(link.contains("://") || root.join(link).exists(), "{link}");
    }
}

/// Finds the keys by asking the reader: an unknown key is refused with those that are known in its place. A key that is
/// itself a table (or a list of tables, or a table of them by NAME) is looked into.
fn collect(path: &[&str], known: &mut BTreeSet<String>) {
    for key in keys_of(path).expect("a table was found here") {
        let below: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
        let named: Vec<&str> = below.iter().copied().chain(["NAME"]).collect();
        if keys_of(&below).is_some() {
            collect(&below, known);
        } else if keys_of(&named).is_some() {
            collect(&named, known);
        } else {
            known.insert(below.join("."));
        }
    }
}

/// The keys that are known in a table; nothing when there is no such table.
fn keys_of(path: &[&str]) -> Option<Vec<String>> {
    let table = path.join(".");
    let headers = if path.is_empty() {
        vec![String::new()]
    } else {
        vec![format!("[{table}]\n"), format!("[[{table}]]\n")]
    };
    headers.iter().find_map(|header| {
        // Like no key that there is, so that no nearest one is proposed instead of the list.
        let text = format!("{header}{} = 1\n", "q".repeat(40));
        let error = Config::parse(&text, Path::new("/")).expect_err("that key is unknown").to_string();
        let (_, list) = error.split_once("known here are ")?;
        Some(list.split(", ").map(str::to_owned).collect())
    })
}

/// A part of a configuration with what every configuration needs beside it.
fn completed(part: &str) -> String {
    let needed = [
        ("[server]", "[server]\nurl = \"https://ca.mgmt.lan\"\n"),
        ("[ca]", "[ca]\nroot = \"r.pem\"\n[[ca.issuer]]\ncertificate = \"i.pem\"\nkey = \"i.key\"\n"),
        ("[store]", "[store]\nurl = \"sqlite:ca.db\"\n"),
    ];
    let missing = needed.iter().filter(|(header, _)| !part.contains(header)).map(|(_, text)| *text);
    std::iter::once(part).chain(missing).collect()
}

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in README.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info == language, String::new())),
            (Some(_), Some(_)) => {
                let ended = open.take().filter(|(wanted, _)| *wanted);
                blocks.extend(ended.map(|(_, text)| text));
            }
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "the last block is closed");
    assert!(!blocks.is_empty(), "there is a block of {language}");
    blocks
}

/// A section without its subsections' headings being looked at: from its heading to the next of the same rank.
fn section(heading: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("\n{heading}\n")).expect("the section is there");
    rest.split("\n## ").next().unwrap_or(rest)
}

/// The key in a row of a table: what stands in backquotes in the first cell.
fn first_cell(row: &str) -> Option<String> {
    row.strip_prefix("| `")?.split('`').next().map(str::to_owned)
}

/// The commands of a block, with continued lines joined.
fn commands(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    joined
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// A line in words, as a shell takes it apart; quotes are all that is understood.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "a quote is left open: {line}");
    words.extend(word);
    words
}

/// Which of our programs a line runs, directly or by `cargo run`, and with what.
fn program(words: &[String]) -> Option<(&str, Vec<&str>)> {
    let words: Vec<&str> =
        words.iter().map(String::as_str).skip_while(|word| *word == "sudo" || word.contains('=')).collect();
    if words.starts_with(&["cargo", "run"]) {
        let end = words.iter().position(|word| *word == "--")?;
        let program = if words[..end].contains(&"ca-ctl") { "ca-ctl" } else { "acme-ca" };
        return Some((program, words[end + 1..].to_vec()));
    }
    let (first, arguments) = words.split_first()?;
    Some((first.rsplit('/').next()?, arguments.to_vec()))
}

const README: &str = include_str!("../README.md");
/// How a block begins that is a whole file.
const WHOLE_FILE: &str = "# /etc/acme-ca/acme-ca.toml";
