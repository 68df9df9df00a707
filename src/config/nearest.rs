//! What the TOML reader refuses, in words: a misspelt key with the one that was probably meant, a value of another kind
//! with its key and what would do, a table in which something is missing.

use acme::problem::plain;

/// The sentence for an error of the TOML reader: where it is, what is wrong, and what would do.
pub(super) fn explain(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map(|before| before.matches('\n').count());
    let place = line.map_or(String::new(), |line| format!("line {}: ", line + 1));
    let written = line.map(|line| Written::at(text, line)).unwrap_or_default();
    let message = error.message();
    if let Some((unknown, known)) = unknown_field(message) {
        return match nearest(unknown, &known) {
            Some(near) => format!("{place}unknown key {unknown}; {near} is the nearest known one"),
            None => format!("{place}unknown key {unknown}; known here are {}", known.join(", ")),
        };
    }
    if let Some(missing) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return match written.header {
            Some(header) => format!("{place}{}.{missing}: it is missing in {header}", written.table),
            None => format!("{missing}: it is missing, and has to be there"),
        };
    }
    if message == "duplicate key" {
        let path = match (written.key, written.table.as_str()) {
            (Some(key), "") => key,
            (Some(key), table) => format!("{table}.{key}"),
            (None, table) => table.to_owned(),
        };
        return format!("{place}{path}: it stands there twice; leave one of them out");
    }
    match (written.key, wrong_kind(message)) {
        (Some(key), Some((found, expected))) => {
            let path =
                if written.table.is_empty() { key.clone() } else { format!("{}.{key}", written.table) };
            format!("{place}{path}: {}; {} would do", kind(found), would_do(&key, expected))
        }
        _ => format!("{place}{message}"),
    }
}

/// What stands at a line: the header of its table, and the key whose value reaches it.
#[derive(Default)]
struct Written<'t> {
    /// As it stands, `[[probe.target]]`.
    header: Option<&'t str>,
    /// `probe.target`.
    table: String,
    key: Option<String>,
}

impl<'t> Written<'t> {
    fn at(text: &'t str, line: usize) -> Self {
        let mut written = Self::default();
        let above: Vec<&str> = text.lines().take(line + 1).collect();
        for line in above.into_iter().rev() {
            let line = line.trim_start();
            // `[` also begins a list in a list; only a header ends with its own bracket and holds no comma.
            if line.starts_with('[') && !line.contains(['=', ',']) {
                let header = line.split('#').next().unwrap_or_default().trim_end();
                written.table = header.trim_matches(['[', ']', ' ']).to_owned();
                written.header = Some(header);
                break;
            }
            if written.key.is_none() {
                written.key = line.split_once('=').and_then(|(key, _)| key_of(key.trim()));
            }
        }
        written
    }
}

/// A key as it stands before its sign of equality, bare or in quotes; an item of a list is none.
fn key_of(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let is_key = match inner {
        Some(inner) => !inner.contains('"'),
        None => !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_. ".contains(&b)),
    };
    is_key.then(|| text.to_owned())
}

/// "invalid type: string \"9443\", expected u16": what was found, and what was expected.
fn wrong_kind(message: &str) -> Option<(&str, &str)> {
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    rest.rsplit_once(", expected ")
}

/// What was written, in the words of whoever wrote it.
fn kind(found: &str) -> String {
    let shown = |value: &str| plain(value, 60);
    let of = |word: &str| found.strip_prefix(word).map(|value| value.trim().trim_matches('`').to_owned());
    if let Some(text) = of("string ") {
        return format!("'{}' is a text", shown(text.trim_matches('"')));
    }
    let number = of("integer ").or_else(|| of("floating point "));
    if let Some(number) = number {
        return format!("{} is a number", shown(&number));
    }
    if let Some(value) = of("boolean ") {
        return format!("it is {}", shown(&value));
    }
    match found {
        "sequence" => "it is a list".to_owned(),
        "map" => "it is a table".to_owned(),
        other => format!("it is {}", shown(other)),
    }
}

/// What would do instead.
fn would_do(key: &str, expected: &str) -> String {
    match expected {
        "u16" => "a number from 1 to 65535, without quotes,",
        "u32" | "u64" | "usize" => "a whole number, without quotes,",
        "f64" => "a number such as 0.8, without quotes,",
        "a boolean" => "true or false, without quotes,",
        "a string" if SPANS.contains(&key) => "a span in quotes, such as \"30s\",",
        "a string" => "a text in quotes",
        "path string" | "a path string" => "a path in quotes",
        "a sequence" => "a list, [\"…\"],",
        other if other == "a map" || other.starts_with("struct ") => "a table",
        other => return plain(other, 60),
    }
    .to_owned()
}

/// Takes serde's sentence apart: "unknown field `x`, expected one of `a`, `b`". A test keeps us informed of its form.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2).collect();
    Some((unknown, known))
}

fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, near) = known.iter().map(|k| (distance(unknown, k), *k)).min()?;
    // Further away than half its length it is another word.
    (distance * 2 <= near.len().max(unknown.len())).then_some(near)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

/// Keys whose value is a span of time.
const SPANS: &[&str] = &["interval", "lifetime", "patience", "reuse", "timeout"];
