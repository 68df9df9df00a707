//! The statements of a change that go to the database together.
//!
//! On SQLite each way to the database is a way to another thread and back, which costs more than most statements. So
//! statements that do not wait for each other's answer go in one: as one text, with BEGIN before them where no change of
//! the transaction was earlier. PostgreSQL takes one statement at a time.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::thread;

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Database, Either, Encode, Executor as _, Postgres, Sqlite, Type};

use crate::error::Error;
use crate::sql::Record;
use crate::store::{Reads, Store};

/// Statements with their values, in the order in which they are run.
#[derive(Default)]
pub(crate) struct Script {
    statements: Vec<Statement>,
    /// What is read when they are done.
    reading: Option<Statement>,
}

struct Statement {
    text: Cow<'static, str>,
    values: Vec<Value>,
}

/// A value of a statement.
pub(crate) enum Value {
    Text(Option<String>),
    Number(Option<i64>),
    Blob(Option<Vec<u8>>),
    Flag(bool),
}

/// Values with the placeholders that stand for them, for a text that is made for as many as there are.
#[derive(Default)]
pub(crate) struct Values(pub(crate) Vec<Value>);

impl Values {
    /// Adds values: `$3, $4`.
    pub(crate) fn list(&mut self, values: impl IntoIterator<Item = Value>) -> String {
        let mut text = String::new();
        for value in values {
            self.0.push(value);
            text.push_str(if text.is_empty() { "$" } else { ", $" });
            write_number(&mut text, self.0.len());
        }
        text
    }

    /// Adds rows of values: `($3, $4), ($5, $6)`.
    pub(crate) fn rows<const COLUMNS: usize>(
        &mut self,
        rows: impl IntoIterator<Item = [Value; COLUMNS]>,
    ) -> String {
        let rows: Vec<String> = rows.into_iter().map(|row| format!("({})", self.list(row))).collect();
        rows.join(", ")
    }
}

/// How many rows each statement changed, up to the first that changed none.
#[derive(Debug, Default)]
pub(crate) struct Changed(Vec<u64>);

impl Changed {
    /// What the statement at this place changed; nothing, when it was not reached.
    pub(crate) fn of(&self, statement: usize) -> u64 {
        self.0.get(statement).copied().unwrap_or(0)
    }
}

/// How far a transaction on SQLite is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing was asked of the database yet.
    Before,
    /// BEGIN was done.
    Begun,
    /// BEGIN failed: nothing is to be undone, and no change is at fault.
    Refused,
}

/// What a script did.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) changed: Changed,
    /// Whether there is something to undo.
    pub(crate) touched: bool,
    /// Why it stopped, unless it was for a statement that changed nothing.
    pub(crate) error: Option<sqlx::Error>,
}

/// Adds a statement with its values: `statement!(script, "UPDATE …", a, b)`.
macro_rules! statement {
    ($script:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        $script.add($sql, vec![$($crate::script::Value::from($value)),*])
    };
}
pub(crate) use statement;

impl Script {
    /// Adds a statement; its placeholders are `$1` and so on.
    pub(crate) fn add(&mut self, text: impl Into<Cow<'static, str>>, values: Vec<Value>) {
        self.statements.push(Statement { text: text.into(), values });
    }

    /// Adds `INSERT INTO … VALUES` for several rows at once; nothing for none. `start` ends before VALUES.
    pub(crate) fn add_rows<const COLUMNS: usize>(
        &mut self,
        start: &'static str,
        rows: impl IntoIterator<Item = [Value; COLUMNS]>,
    ) {
        let mut values = Values::default();
        let rows = values.rows(rows);
        if !rows.is_empty() {
            self.add(format!("{start} VALUES {rows}"), values.0);
        }
    }

    /// Has a query run behind the statements, for `Tx::run_reading`.
    pub(crate) fn read(&mut self, text: impl Into<Cow<'static, str>>, values: Vec<Value>) {
        self.reading = Some(Statement { text: text.into(), values });
    }

    pub(crate) fn len(&self) -> usize {
        self.statements.len() + usize::from(self.reading.is_some())
    }

    /// Runs it on SQLite, in one go, on a thread that is ours alone. Statements after one that changed nothing do run; `touched` says whether they did
    /// anything. Where the transaction was not begun, that comes first.
    pub(crate) async fn run_on_sqlite(
        self,
        connection: &mut SqliteConnection,
        stage: &mut Stage,
    ) -> (Done, Vec<SqliteRow>) {
        let mut text = String::new();
        if *stage != Stage::Begun {
            text.push_str(BEGIN);
        }
        let mut values = Vec::new();
        let statements = self.statements.len();
        for statement in self.statements.into_iter().chain(self.reading) {
            if !text.is_empty() {
                text.push_str(";\n");
            }
            push_renumbered(&mut text, &statement.text, values.len());
            values.extend(statement.values);
        }
        let query = Statement { text: text.into(), values }.query::<Sqlite>();
        let mut results = connection.fetch_many(query);
        let mut done = Done::default();
        let mut rows = Vec::new();
        let mut ended = 0;
        let mut stopped = false;
        let mut is_told = false;
        loop {
            let result = results.try_next().await;
            if !is_told {
                // SQLite's thread tells of each statement by itself, and each word of it would wake ours, in its place
                // where the processors are busy. After the first we step aside once, and find the others told.
                thread::yield_now();
                is_told = true;
            }
            match result {
                Ok(Some(Either::Left(_))) if *stage != Stage::Begun => *stage = Stage::Begun,
                // Behind a query SQLite still tells what the last change before it changed.
                Ok(Some(Either::Left(_))) if ended == statements => {}
                Ok(Some(Either::Left(result))) => {
                    ended += 1;
                    let changed = result.rows_affected();
                    done.touched |= changed > 0;
                    if !stopped {
                        done.changed.0.push(changed);
                        stopped = changed == 0;
                    }
                }
                Ok(Some(Either::Right(row))) => rows.push(row),
                Ok(None) => return (done, rows),
                Err(error) => {
                    match stage {
                        Stage::Begun => done.touched = true,
                        Stage::Before | Stage::Refused => *stage = Stage::Refused,
                    }
                    done.error = (!stopped).then_some(error);
                    return (done, rows);
                }
            }
        }
    }

    /// Runs it on PostgreSQL, one statement after the other.
    pub(crate) async fn run_on_postgres(self, connection: &mut PgConnection) -> (Done, Vec<PgRow>) {
        let mut done = Done::default();
        for statement in self.statements {
            match statement.query::<Postgres>().execute(&mut *connection).await {
                Ok(result) => {
                    done.changed.0.push(result.rows_affected());
                    done.touched |= result.rows_affected() > 0;
                    if result.rows_affected() == 0 {
                        return (done, Vec::new());
                    }
                }
                Err(error) => return (done.failed(error), Vec::new()),
            }
        }
        let Some(reading) = self.reading else { return (done, Vec::new()) };
        match reading.query::<Postgres>().fetch_all(&mut *connection).await {
            Ok(rows) => (done, rows),
            Err(error) => (done.failed(error), Vec::new()),
        }
    }
}

impl Done {
    fn failed(self, error: sqlx::Error) -> Self {
        Self { touched: true, error: Some(error), ..self }
    }
}

impl Statement {
    fn query<'q, DB: Database>(self) -> Query<'q, DB, DB::Arguments>
    where
        Option<String>: Encode<'q, DB> + Type<DB>,
        Option<i64>: Encode<'q, DB> + Type<DB>,
        Option<Vec<u8>>: Encode<'q, DB> + Type<DB>,
        bool: Encode<'q, DB> + Type<DB>,
    {
        self.values.into_iter().fold(sqlx::query(AssertSqlSafe(self.text)), |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
            Value::Blob(octets) => query.bind(octets),
            Value::Flag(flag) => query.bind(flag),
        })
    }
}

/// Runs a query from the pool that only reads: every row as a `Record`.
pub(crate) async fn query<R: Record>(
    store: &Store,
    text: impl Into<Cow<'static, str>>,
    values: Vec<Value>,
) -> Result<Vec<R>, Error> {
    let statement = Statement { text: text.into(), values };
    match store.reads() {
        Reads::Sqlite(pool) => {
            statement.query::<Sqlite>().fetch_all(pool).await?.iter().map(R::read).collect()
        }
        Reads::Postgres(pool) => {
            statement.query::<Postgres>().fetch_all(pool).await?.iter().map(R::read).collect()
        }
    }
}

/// Copies a statement with its placeholders moved up: in one text of several statements they are counted through.
fn push_renumbered(text: &mut String, statement: &str, offset: usize) {
    let mut parts = statement.split('$');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        text.push('$');
        match number.parse::<usize>() {
            Ok(number) => write_number(text, offset + number),
            Err(_) => text.push_str(number),
        }
        text.push_str(rest);
    }
}

fn write_number(text: &mut String, number: usize) {
    write!(text, "{number}").expect("a string takes all that is written");
}

/// Takes the lock at once: a transaction that first reads and then wants to write could be refused in the middle.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";

macro_rules! values {
    ($($from:ty, $value:ident => $into:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $into
            }
        })*
    };
}

values! {
    &str, text => Self::Text(Some(text.to_owned()));
    Option<&str>, text => Self::Text(text.map(str::to_owned));
    String, text => Self::Text(Some(text));
    Option<String>, text => Self::Text(text);
    i64, number => Self::Number(Some(number));
    Option<i64>, number => Self::Number(number);
    &[u8], octets => Self::Blob(Some(octets.to_vec()));
    Option<&[u8]>, octets => Self::Blob(octets.map(<[u8]>::to_vec));
    bool, flag => Self::Flag(flag);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_counted_through_the_statements_of_a_text() {
        let mut text = String::new();
        push_renumbered(&mut text, "UPDATE a SET b = $2 WHERE c = $1 AND d = $12", 5);
        assert_eq!(text, "UPDATE a SET b = $7 WHERE c = $6 AND d = $17");
    }

    #[test]
    fn rows_are_one_statement_and_no_rows_are_none() {
        let mut script = Script::default();
        script.add_rows("INSERT INTO a (b, c)", [].into_iter() as std::array::IntoIter<[Value; 2], 0>);
        assert_eq!(script.len(), 0);
        let rows = [1_i64, 2].map(|n| [Value::from(n), Value::from("x")]);
        script.add_rows("INSERT INTO a (b, c)", rows);
        assert_eq!(script.statements[0].text, "INSERT INTO a (b, c) VALUES ($1, $2), ($3, $4)");
        assert_eq!(script.statements[0].values.len(), 4);
    }
}
