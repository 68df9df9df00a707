//! A source file as far as imports go: without comments, strings and tests. Not a parser; it errs on the side of
//! finding too much, and the tests of `floors.rs` say what it knows.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// One file.
pub struct Source {
    /// Below the workspace, with slashes.
    pub path: String,
    code: String,
}

/// Every file below a folder, but for those that a `#[cfg(test)] mod name;` names.
pub fn tree(root: &Path, below: &str) -> Vec<Source> {
    let mut all = Vec::new();
    let mut tests = BTreeSet::new();
    collect(root, below, &mut all, &mut tests);
    let is_test = |path: &str| {
        tests
            .iter()
            .any(|test: &String| path == format!("{test}.rs") || path.starts_with(&format!("{test}/")))
    };
    all.retain(|source| !is_test(&source.path));
    all
}

fn collect(root: &Path, below: &str, all: &mut Vec<Source>, tests: &mut BTreeSet<String>) {
    let mut names: Vec<String> = fs::read_dir(root.join(below))
        .unwrap_or_else(|error| panic!("{below}: {error}"))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names {
        let path = format!("{below}/{name}");
        if root.join(&path).is_dir() {
            collect(root, &path, all, tests);
        } else if let Some(stem) = name.strip_suffix(".rs") {
            let text = fs::read_to_string(root.join(&path)).unwrap();
            let folder = match stem {
                "mod" | "lib" | "main" => below.to_owned(),
                stem => format!("{below}/{stem}"),
            };
            let bare = without_comments_and_strings(&text);
            tests.extend(test_files(&bare).into_iter().map(|module| format!("{folder}/{module}")));
            all.push(Source::new(&path, &text));
        }
    }
}

impl Source {
    /// From text.
    pub fn new(path: &str, text: &str) -> Self {
        let code = without_tests(&without_comments_and_strings(text));
        Self { path: path.to_owned(), code }
    }

    /// The first folder or file below `src`.
    pub fn room(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        below.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// Whether a word, or the beginning of a path, stands in the code.
    pub fn says(&self, word: &str) -> bool {
        self.places(word).next().is_some()
    }

    /// Whether another crate is named: as the beginning of a path, or in a `use`.
    pub fn names_crate(&self, name: &str) -> bool {
        self.places(name).any(|at| {
            let (before, after) = (self.code[..at].trim_end(), self.code[at + name.len()..].trim_start());
            // `::store` is a crate; `self::store` is not.
            let outside = before.strip_suffix("::").unwrap_or(before);
            let continues = outside.len() < before.len() && outside.ends_with(is_word);
            let in_use = before.ends_with("use") || after.starts_with("as ");
            !continues && (after.starts_with("::") || in_use && after.starts_with([';', ',', '}', 'a']))
        })
    }

    /// What stands directly below the crate's root in every path that begins there.
    pub fn names_of_crate(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for word in ["crate", "acme_ca"] {
            for at in self.places(word) {
                if let Some(rest) = self.code[at + word.len()..].strip_prefix("::") {
                    names.extend(heads(rest));
                }
            }
        }
        for at in self.places("super") {
            // Chains are read from their beginning.
            if self.code[..at].ends_with("super::") {
                continue;
            }
            let (mut rest, mut up) = (&self.code[at..], 0);
            while let Some(after) = rest.strip_prefix("super::") {
                (rest, up) = (after, up + 1);
            }
            if up == self.depth() {
                names.extend(heads(rest));
            }
        }
        names
    }

    /// How many `super::` lead to the crate's root.
    fn depth(&self) -> usize {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let parts = below.split('/').count();
        if below.ends_with("/mod.rs") { parts - 1 } else { parts }
    }

    fn places<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.match_indices(word).map(|(at, _)| at).filter(move |at| {
            let (before, after) = (&self.code[..*at], &self.code[*at + word.len()..]);
            let open = |c: char| !is_word(c);
            let starts = before.chars().next_back().is_none_or(open);
            let ends = !word.ends_with(is_word) || after.chars().next().is_none_or(open);
            starts && ends
        })
    }
}

/// The first names of `name::…`, or of each member of `{name::…, name}`.
fn heads(rest: &str) -> Vec<String> {
    let head = |text: &str| text.trim_start().chars().take_while(|c| is_word(*c)).collect::<String>();
    let Some(group) = rest.trim_start().strip_prefix('{') else { return vec![head(rest)] };
    let (mut depth, mut from, mut all) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                all.push(head(&group[from..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                all.push(head(&group[from..at]));
                from = at + 1;
            }
            _ => {}
        }
    }
    all.retain(|name| !name.is_empty() && name != "self");
    all
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn without_comments_and_strings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let before = out.chars().next_back();
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if c == '"' {
            string(rest)
        } else if c == 'r' && before.is_none_or(|b| !is_word(b) || b == 'b') {
            raw_string(rest)
        } else if c == '\'' {
            character(rest)
        } else {
            0
        };
        if skipped == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            out.push(' ');
            rest = &rest[skipped..];
        }
    }
    out
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `r"…"`, `r#"…"#`…; 0 when it is only a word that begins with r.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let from = 2 + hashes;
    text[from..].find(&end).map_or(text.len(), |at| from + at + end.len())
}

/// `'x'` or `'\n'`; 0 for a lifetime.
fn character(text: &str) -> usize {
    let inner = &text[1..];
    if let Some(escape) = inner.strip_prefix('\\') {
        let first = escape.chars().next().map_or(0, char::len_utf8);
        return escape[first..].find('\'').map_or(0, |at| 2 + first + at + 1);
    }
    let Some(c) = inner.chars().next() else { return 0 };
    if inner[c.len_utf8()..].starts_with('\'') { 2 + c.len_utf8() } else { 0 }
}

/// Takes away each item behind `#[cfg(test)]`: to its semicolon, or to the end of its braces.
fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(TEST) {
        out.push_str(&rest[..at]);
        rest = item_end(&rest[at + TEST.len()..]);
    }
    out + rest
}

fn item_end(item: &str) -> &str {
    let mut depth = 0usize;
    for (at, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                // `use a::{b, c};` has its semicolon behind the brace.
                if depth == 0 && !item.trim_start().starts_with("use") {
                    return &item[at + 1..];
                }
            }
            ';' if depth == 0 => return &item[at + 1..],
            _ => {}
        }
    }
    ""
}

/// The modules in files of their own that are tests.
fn test_files(code: &str) -> Vec<String> {
    code.split(TEST)
        .skip(1)
        .filter_map(|item| {
            let declaration = item.split([';', '{']).next()?;
            let is_file = item[declaration.len()..].starts_with(';');
            let name = declaration.split_whitespace().skip_while(|word| *word != "mod").nth(1)?;
            is_file.then(|| name.to_owned())
        })
        .collect()
}

const TEST: &str = "#[cfg(test)]";
