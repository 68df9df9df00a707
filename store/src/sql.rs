//! How one text runs on both databases: a few macros in front of [`crate::script`], and one way to read a column from
//! either driver's row. The rules that the statements keep to:
//!
//! * `$1` placeholders; text, 64-bit integers, octets and booleans; time as unix seconds; no `now()`, no serial columns,
//!   no arrays, no JSON operators;
//! * conflicts through `ON CONFLICT (column) DO NOTHING` and the number of rows, never by a constraint's name;
//! * a state moves by `UPDATE … WHERE id = $1 AND status = …`: exactly one row, or [`Error::Conflict`].

use acme::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use crate::error::Error;

/// Runs a statement of a change: `execute!(tx, "UPDATE …", a, b)` is the number of rows that it changed.
macro_rules! execute {
    ($tx:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        $tx.execute($sql, vec![$($crate::script::Value::from($value)),*]).await
    };
}

/// Reads inside a change: the first row as a `Record`, if there is one.
macro_rules! find {
    ($tx:expr, $record:ty, $sql:expr $(, $value:expr)* $(,)?) => {
        $tx.read::<$record>($sql, vec![$($crate::script::Value::from($value)),*])
            .await
            .map(|rows| rows.into_iter().next())
    };
}

/// Runs a statement of a change that ends in RETURNING: every row as a `Record`.
macro_rules! returning {
    ($tx:expr, $record:ty, $sql:expr $(, $value:expr)* $(,)?) => {
        $tx.returning::<$record>($sql, vec![$($crate::script::Value::from($value)),*]).await
    };
}

/// Reads every row as a `Record`; from the pool that only reads.
macro_rules! rows {
    ($store:expr, $record:ty, $sql:expr $(, $value:expr)* $(,)?) => {
        $crate::script::query::<$record>($store, $sql, vec![$($crate::script::Value::from($value)),*]).await
    };
}

/// Reads the only row of a key as a `Record`, if there is one; from the pool that only reads.
macro_rules! row {
    ($store:expr, $record:ty, $sql:expr $(, $value:expr)* $(,)?) => {
        $crate::sql::rows!($store, $record, $sql $(, $value)*).map(|rows| rows.into_iter().next())
    };
}

pub(crate) use {execute, find, returning, row, rows};

/// What a row of a query is read as.
pub(crate) trait Record: Sized {
    /// Reads one row; [`Error::Corrupt`] names the column that holds what the program cannot have written.
    fn read(row: &impl Columns) -> Result<Self, Error>;
}

/// The columns of a row of either database, by name.
pub(crate) trait Columns {
    fn text_or_null(&self, name: &str) -> Result<Option<&str>, Error>;
    fn number_or_null(&self, name: &str) -> Result<Option<i64>, Error>;
    fn blob_or_null(&self, name: &str) -> Result<Option<&[u8]>, Error>;
    fn flag(&self, name: &str) -> Result<bool, Error>;

    fn text(&self, name: &str) -> Result<&str, Error> {
        self.text_or_null(name)?.ok_or_else(|| Error::column(name, "it is empty"))
    }

    fn string(&self, name: &str) -> Result<String, Error> {
        self.text(name).map(str::to_owned)
    }

    fn string_or_null(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.text_or_null(name)?.map(str::to_owned))
    }

    fn blob(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.bytes_or_null(name)?.ok_or_else(|| Error::column(name, "it is empty"))
    }

    fn bytes_or_null(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.blob_or_null(name)?.map(<[u8]>::to_vec))
    }

    fn time(&self, name: &str) -> Result<Timestamp, Error> {
        self.time_or_null(name)?.ok_or_else(|| Error::column(name, "it is empty"))
    }

    fn time_or_null(&self, name: &str) -> Result<Option<Timestamp>, Error> {
        Ok(self.number_or_null(name)?.map(Timestamp::from_unix))
    }

    /// A word or an id, by the function that reads it.
    fn word<T>(&self, name: &str, parse: fn(&str) -> Option<T>) -> Result<T, Error> {
        self.word_or_null(name, parse)?.ok_or_else(|| Error::column(name, "it is empty"))
    }

    fn word_or_null<T>(&self, name: &str, parse: fn(&str) -> Option<T>) -> Result<Option<T>, Error> {
        let Some(text) = self.text_or_null(name)? else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| Error::column(name, format!("{text:?} is no such word")))
    }

    fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, Error> {
        self.json_or_null(name)?.ok_or_else(|| Error::column(name, "it is empty"))
    }

    fn json_or_null<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let Some(text) = self.text_or_null(name)? else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|error| Error::column(name, error))
    }
}

macro_rules! columns {
    ($row:ty) => {
        impl Columns for $row {
            fn text_or_null(&self, name: &str) -> Result<Option<&str>, Error> {
                Ok(self.try_get(name)?)
            }

            fn number_or_null(&self, name: &str) -> Result<Option<i64>, Error> {
                Ok(self.try_get(name)?)
            }

            fn blob_or_null(&self, name: &str) -> Result<Option<&[u8]>, Error> {
                Ok(self.try_get(name)?)
            }

            fn flag(&self, name: &str) -> Result<bool, Error> {
                Ok(self.try_get(name)?)
            }
        }
    };
}

columns!(SqliteRow);
columns!(PgRow);

/// Exactly one row, or the conflict.
pub(crate) fn one(changed: u64, conflict: impl FnOnce() -> Error) -> Result<(), Error> {
    if changed == 1 { Ok(()) } else { Err(conflict()) }
}

/// The JSON of a column.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Internal { reason: error.to_string() })
}

/// The JSON of a column that may be null.
pub(crate) fn json_or_null(value: Option<&impl Serialize>) -> Result<Option<String>, Error> {
    value.map(json).transpose()
}

/// Where ids of things begin that were made at `since` or later: an id begins with the second of its making.
pub(crate) fn first_id(since: Timestamp) -> String {
    let seconds = u32::try_from(since.unix().max(0)).unwrap_or(u32::MAX);
    acme::id::hex(&seconds.to_be_bytes())
}

/// The pattern of `LIKE … ESCAPE '\'` for text that holds `part`, taken literally.
pub(crate) fn containing(part: &str) -> String {
    let mut pattern = String::from("%");
    for c in part.to_ascii_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use acme::id::{ID_RANDOM, OrderId};

    use super::*;

    #[test]
    fn a_name_with_signs_of_a_pattern_is_taken_literally() {
        assert_eq!(containing("*.A_b.lan"), r"%*.a\_b.lan%");
        assert_eq!(containing("%"), r"%\%%");
    }

    #[test]
    fn an_id_made_at_a_second_lies_at_or_after_the_first_id_of_it() {
        let at = |seconds| Timestamp::from_unix(seconds);
        let id = OrderId::mint(at(1000), [0; ID_RANDOM]);
        assert!(id.as_str() > first_id(at(1000)).as_str());
        assert!(id.as_str() < first_id(at(1001)).as_str());
        assert_eq!(first_id(at(-5)), "00000000");
    }
}
