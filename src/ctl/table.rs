//! Tables for people: a header, the first column the thing itself, everything within the terminal's width. Foreign text
//! is made harmless before it is shown.

use std::io::{self, Write};

use acme::problem::plain;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// A table to be filled row by row.
pub(super) struct Table {
    headers: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(headers: &[&'static str]) -> Self {
        Self { headers: headers.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell, CELL)).collect());
    }

    /// Writes the table within `width` columns; `None` is a pipe, where nothing is cut.
    pub(super) fn write(&self, out: &mut dyn Write, width: Option<usize>) -> io::Result<()> {
        let mut widths: Vec<usize> = self.headers.iter().map(|h| h.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        if let Some(width) = width {
            shrink(&mut widths, &self.headers, width);
        }
        let headers: Vec<String> = self.headers.iter().map(ToString::to_string).collect();
        for row in std::iter::once(&headers).chain(&self.rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let cell = cut(cell, *width);
                line.push_str(&cell);
                line.extend(std::iter::repeat_n(' ', width - cell.width() + GAP));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// How wide the terminal is that standard output goes to; `None` when it goes elsewhere, even if the errors go to one.
pub(super) fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// Takes from the columns that say the least first, then from the long ones, the last before the others, then from the
/// first one, because that is the thing itself, and then from the short ones; until everything fits, or nothing can be
/// taken any more. What a table is read for is taken from last.
fn shrink(widths: &mut [usize], headers: &[&str], limit: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(limit);
    let mut take = |width: &mut usize, least: usize| {
        let taken = over.min(width.saturating_sub(least));
        *width -= taken;
        over -= taken;
    };
    for (word, least) in FIRST {
        let column = headers.iter().position(|header| header == word);
        column.and_then(|column| widths.get_mut(column)).into_iter().for_each(|width| take(width, *least));
    }
    let (mut kept, mut others) = (Vec::new(), Vec::new());
    for (width, header) in widths.iter_mut().zip(headers) {
        if LAST.contains(header) { kept.push(width) } else { others.push(width) }
    }
    let Some((first, others)) = others.split_first_mut() else { return };
    others.iter_mut().rev().filter(|width| ***width > SHORT).for_each(|width| take(width, LEAST));
    take(first, LEAST);
    others.iter_mut().rev().for_each(|width| take(width, LEAST));
    kept.into_iter().rev().for_each(|width| take(width, LEAST));
}

/// The text, or as much of it as fits.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

const GAP: usize = 2;
/// No column is cut below this.
const LEAST: usize = 8;
/// A column of this width, such as a span of time, would say little if it were cut.
const SHORT: usize = 12;
/// Identifiers and places, which `--json` says in full: they give way first, in this order, and down to this width. The key
/// of an account fits; an alert's keeps what tells it from others.
const FIRST: &[(&str, usize)] =
    &[("ISSUER", 16), ("SERIAL", 16), ("SERVER", 12), ("ADDRESS", 16), ("SINK", 16), ("KEY", 28)];
/// What tables are read for.
const LAST: &[&str] = &["VERDICT", "SERVED", "RESULT", "STATE"];
const CELL: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(width: Option<usize>) -> String {
        let mut table = Table::new(&["NAME", "STATE", "WHY"]);
        table.row(["vault.lan".into(), "expired".into(), "10.0.0.53 answered SERVFAIL for vault.lan".into()]);
        table.row(["git.lan".into(), "fresh".into(), "-".into()]);
        let mut out = Vec::new();
        table.write(&mut out, width).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_pipe_gets_everything() {
        assert!(text(None).contains("10.0.0.53 answered SERVFAIL for vault.lan\n"));
    }

    #[test]
    fn a_terminal_gets_what_fits_and_the_names_stay_whole() {
        let text = text(Some(40));
        assert!(text.lines().all(|line| line.width() <= 40), "{text}");
        assert!(text.contains("vault.lan  expired  10.0.0.53 answered …"), "{text}");
    }

    #[test]
    fn the_last_columns_give_way_before_the_names() {
        let text = text(Some(28));
        assert!(text.lines().all(|line| line.width() <= 28), "{text}");
        assert!(text.contains("vault.lan  expired") && text.contains("10.0.0.…"), "{text}");
    }

    #[test]
    fn what_a_table_is_read_for_gives_way_last() {
        let narrow = |headers: &[&'static str], cells: &[&str]| {
            let mut table = Table::new(headers);
            table.row(cells.iter().map(ToString::to_string));
            let mut out = Vec::new();
            table.write(&mut out, Some(80)).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.lines().all(|line| line.width() <= 80), "{text}");
            text
        };
        let key = "served:a-name-that-nobody-would-choose.in.a.zone.lan:443";
        let what = "a-name-that-nobody-would-choose.in.a.zone.lan serves an old certificate";
        let headers = ["KEY", "SEVERITY", "STATE", "FOR", "WHAT"];
        let text = narrow(&headers, &[key, "critical", "inhibited", "5h 0m", what]);
        assert!(text.contains("a-name-that-nobo"), "{text}");
        let headers = ["TARGET", "ADDRESS", "VERDICT", "SEVERITY", "SERIAL", "ENDS", "ISSUER"];
        let serial = "4000000000000000000e000000000000";
        let cells = ["git.in.a.zone.lan:443", "fd00::1234:5678:9abc:def0", "stale_not_reloaded", "critical"];
        let cells = [&cells[..], &[serial, "1d 23h", "mgmt.lan Intermediate CA"]].concat();
        let text = narrow(&headers, &cells);
        assert!(text.contains("stale_not_reloaded"), "{text}");
    }

    #[test]
    fn foreign_text_cannot_move_the_cursor() {
        let mut table = Table::new(&["NAME"]);
        table.row(["a\u{1b}[2Jb\nc".into()]);
        let mut out = Vec::new();
        table.write(&mut out, None).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "NAME\na [2Jb c\n");
    }
}
