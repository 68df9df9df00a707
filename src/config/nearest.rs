//! A misspelt key, with the one that was probably meant.

/// The sentence for an error of the TOML reader: where it is, what is wrong, and for an unknown key the nearest known.
pub(super) fn explain(error: &toml::de::Error, text: &str) -> String {
    let place = error.span().map_or(String::new(), |span| {
        let line = text.get(..span.start).map_or(0, |before| before.matches('\n').count());
        format!("line {}: ", line + 1)
    });
    let message = error.message();
    match unknown_field(message) {
        Some((unknown, known)) => match nearest(unknown, &known) {
            Some(near) => format!("{place}unknown key {unknown}; {near} is the nearest known one"),
            None => format!("{place}unknown key {unknown}; known here are {}", known.join(", ")),
        },
        None => format!("{place}{message}"),
    }
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
