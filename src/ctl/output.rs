//! Data on standard output, as a table or as one JSON object whose form only ever grows.

use std::io::Write;

use acme::problem::plain;
use acme::time::Timestamp;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::table::{Table, cut};

/// The envelope of `--json`.
#[derive(Serialize)]
struct Envelope<'a, T, U> {
    schema: String,
    generated_at: Timestamp,
    items: &'a [T],
    #[serde(flatten)]
    more: U,
}

/// Nothing beside the items.
#[derive(Serialize)]
struct NoMore {}

/// Where output goes, and in which form.
pub(super) struct Output<'a> {
    pub(super) out: &'a mut dyn Write,
    pub(super) json: bool,
    /// Within how many columns a table stays; `None` is a pipe, where nothing is cut.
    pub(super) width: Option<usize>,
    pub(super) now: Timestamp,
}

impl Output<'_> {
    /// Writes items under the schema of `verb`, or as the table that `row` makes of them.
    pub(super) fn items<T: Serialize>(
        &mut self,
        verb: &str,
        items: &[T],
        headers: &[&'static str],
        row: impl Fn(&T) -> Vec<String>,
    ) -> anyhow::Result<()> {
        if self.json {
            return self.envelope(verb, items);
        }
        let mut table = Table::new(headers);
        for item in items {
            table.row(row(item));
        }
        Ok(table.write(self.out, self.width)?)
    }

    /// Writes a table whose last argument to `row` tells whether there is much room; where there is little, those of `rare`
    /// that hold nothing but `-` are left out.
    pub(super) fn columns<T>(
        &mut self,
        headers: &[&'static str],
        rare: &[&str],
        items: &[T],
        row: impl Fn(&T, bool) -> Vec<String>,
    ) -> anyhow::Result<()> {
        let is_wide = self.width.is_none_or(|width| width >= WIDE);
        let rows: Vec<Vec<String>> = items.iter().map(|item| row(item, is_wide)).collect();
        let is_kept = |column: usize| {
            let is_empty = || rows.iter().all(|row| row.get(column).is_none_or(|cell| cell == "-"));
            is_wide || !rare.contains(&headers[column]) || !is_empty()
        };
        let kept: Vec<usize> = (0..headers.len()).filter(|column| is_kept(*column)).collect();
        let headers: Vec<&'static str> = kept.iter().map(|column| headers[*column]).collect();
        let mut table = Table::new(&headers);
        for mut row in rows {
            // A name that nobody would choose takes no room from what is said of the others.
            if let (Some(name), Some(width)) = (row.first_mut(), self.width.filter(|_| !is_wide)) {
                *name = cut(name, width / 3);
            }
            table.row(kept.iter().filter_map(|column| row.get(*column).cloned()));
        }
        Ok(table.write(self.out, self.width)?)
    }

    /// Writes items as JSON.
    pub(super) fn envelope<T: Serialize>(&mut self, verb: &str, items: &[T]) -> anyhow::Result<()> {
        self.envelope_with(verb, items, NoMore {})
    }

    /// The same with the fields of `more` beside the items.
    pub(super) fn envelope_with<T: Serialize, U: Serialize>(
        &mut self,
        verb: &str,
        items: &[T],
        more: U,
    ) -> anyhow::Result<()> {
        let envelope = Envelope { schema: format!("ca-ctl/{verb}/1"), generated_at: self.now, items, more };
        // As an I/O error: a reader that went away is told from a failure by it.
        serde_json::to_writer(&mut *self.out, &envelope).map_err(std::io::Error::from)?;
        Ok(writeln!(self.out)?)
    }

    /// Writes text for people behind a head: where the terminal is not wide enough for it, in lines below one another.
    pub(super) fn hung(&mut self, head: &str, text: &str) -> anyhow::Result<()> {
        let (indent, text) = (head.width(), plain(text, LINE));
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(LEAST));
        let mut lines = wrapped(&text, room).into_iter();
        writeln!(self.out, "{}", format!("{head}{}", lines.next().unwrap_or_default()).trim_end())?;
        for line in lines {
            writeln!(self.out, "{:indent$}{line}", "")?;
        }
        Ok(())
    }

    /// Writes one line for people.
    pub(super) fn line(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.out, "{}", plain(text, LINE))?)
    }
}

/// Text in lines of so many columns. A word that is longer stands alone.
pub(super) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + word.width() < room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// No text is put into less.
const LEAST: usize = 30;
/// From here on a table has room for what is nice to have.
const WIDE: usize = 120;
const LINE: usize = 2_000;
