//! What the operator says about names: who looks after them, when no alert is wanted, what is not expected to renew any
//! more, and thresholds of their own. Said of a name, of all names below a suffix, or of a whole set of names; read for a
//! set of names.

use std::collections::HashMap;

use acme::lineage::{Care, Mute};
use acme::renewal::Thresholds;
use acme::time::Timestamp;

use crate::audit::AuditEvent;
use crate::error::Error;
use crate::sql::{Columns, Record, execute, rows};
use crate::store::Store;
use crate::write::{Change, Tx};

/// What was said of one subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// A name, `*.suffix` for every depth below it and its wildcard, or a set of names as `acme::identifier::name_set`.
    pub subject: String,
    /// What.
    pub care: Care,
}

/// Keeps what the operator says of a subject. A crash after it leaves it with its row in the trail.
#[derive(Clone, Debug)]
pub struct SetCare {
    /// Of what, as [`Said`] has it.
    pub subject: String,
    /// What.
    pub wish: Wish,
    /// What the trail says.
    pub audit: AuditEvent,
}

/// One thing that an operator may say. It takes the place of what was said of it before.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// Who looks after it, or that nobody does.
    Owner(Option<String>),
    /// Thresholds of its own, or the configured ones again.
    Thresholds(Option<Thresholds>),
    /// No alert for a time, or alerts again.
    Mute(Option<Mute>),
    /// Since this moment it is not expected to renew any more, or that it is after all. An order that is made later takes
    /// it back by itself.
    Forget(Option<Timestamp>),
}

impl Change for SetCare {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let subject = self.subject.as_str();
        match &self.wish {
            Wish::Owner(owner) => execute!(
                tx,
                "INSERT INTO care (subject, owner) VALUES ($1, $2)
                 ON CONFLICT (subject) DO UPDATE SET owner = excluded.owner",
                subject,
                owner.as_deref(),
            )?,
            Wish::Thresholds(thresholds) => execute!(
                tx,
                "INSERT INTO care (subject, warn, critical) VALUES ($1, $2, $3)
                 ON CONFLICT (subject) DO UPDATE SET warn = excluded.warn, critical = excluded.critical",
                subject,
                thresholds.map(|t| thousandths(t.warn)),
                thresholds.map(|t| thousandths(t.critical)),
            )?,
            Wish::Mute(mute) => execute!(
                tx,
                "INSERT INTO care (subject, muted_until, mute_reason) VALUES ($1, $2, $3)
                 ON CONFLICT (subject) DO UPDATE
                 SET muted_until = excluded.muted_until, mute_reason = excluded.mute_reason",
                subject,
                mute.as_ref().map(|mute| mute.until.unix()),
                mute.as_ref().map(|mute| mute.reason.as_str()),
            )?,
            Wish::Forget(at) => execute!(
                tx,
                "INSERT INTO care (subject, forgotten_at) VALUES ($1, $2)
                 ON CONFLICT (subject) DO UPDATE SET forgotten_at = excluded.forgotten_at",
                subject,
                at.map(Timestamp::unix),
            )?,
        };
        tx.record(&self.audit);
        Ok(())
    }
}

impl Store {
    /// Everything that the operator said, by subject. As much as was said by hand: it is read whole.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn cares(&self) -> Result<Cares, Error> {
        let said: Vec<Said> = rows!(
            self,
            Said,
            "SELECT subject, owner, muted_until, mute_reason, forgotten_at, warn, critical FROM care ORDER BY subject"
        )?;
        Ok(Cares { by_subject: said.into_iter().map(|said| (said.subject, said.care)).collect() })
    }
}

/// Everything that the operator said.
#[derive(Clone, Debug, Default)]
pub struct Cares {
    by_subject: HashMap<String, Care>,
}

impl Cares {
    /// The subjects with a threshold below this part of a life.
    pub(crate) fn early(&self, part: f64) -> Vec<&str> {
        let early = |care: &Care| care.thresholds.is_some_and(|thresholds| thresholds.warn < part);
        let mut subjects: Vec<&str> = self
            .by_subject
            .iter()
            .filter(|(_, care)| early(care))
            .map(|(subject, _)| subject.as_str())
            .collect();
        subjects.sort_unstable();
        subjects
    }

    /// What was said of exactly this subject.
    pub fn of_subject(&self, subject: &str) -> Option<&Care> {
        self.by_subject.get(subject)
    }

    /// The subjects that speak of a set of names, the nearest first: the set itself, its names, then suffixes from the
    /// longest on.
    pub fn subjects(&self, names: &[String]) -> Vec<&str> {
        let suffixes = names.iter().flat_map(|name| above(name));
        let mut suffixes: Vec<String> = suffixes.collect();
        suffixes.sort_by_key(|suffix| std::cmp::Reverse(suffix.matches('.').count()));
        let mut found: Vec<&str> = Vec::new();
        for subject in std::iter::once(names.join(",")).chain(names.iter().cloned()).chain(suffixes) {
            if let Some((subject, _)) = self.by_subject.get_key_value(&subject)
                && !found.contains(&subject.as_str())
            {
                found.push(subject);
            }
        }
        found
    }

    /// What holds for a set of names. Owner and thresholds are those of the nearest subject that has them, the mute the one
    /// that lasts longest. Forgotten is a set only with all its names: what else it holds is still expected.
    pub fn of(&self, names: &[String]) -> Care {
        let near: Vec<&Care> =
            self.subjects(names).into_iter().filter_map(|subject| self.by_subject.get(subject)).collect();
        Care {
            owner: near.iter().find_map(|care| care.owner.clone()),
            muted: near.iter().filter_map(|care| care.muted.clone()).max_by_key(|mute| mute.until),
            forgotten_at: self.forgotten_at(names),
            thresholds: near.iter().find_map(|care| care.thresholds),
        }
    }

    fn forgotten_at(&self, names: &[String]) -> Option<Timestamp> {
        let of = |subject: &str| self.by_subject.get(subject).and_then(|care| care.forgotten_at);
        let each = names.iter().map(|name| {
            std::iter::once(name.clone()).chain(above(name)).filter_map(|subject| of(&subject)).max()
        });
        // The moment at which the last of them was forgotten.
        let all: Option<Vec<Timestamp>> = each.collect();
        let all = all.and_then(|all| all.into_iter().max());
        all.max(of(&names.join(",")))
    }
}

/// The patterns that a name is below: `*.b.lan` and `*.lan` of `a.b.lan`.
fn above(name: &str) -> impl Iterator<Item = String> + '_ {
    name.match_indices('.')
        .map(|(dot, _)| format!("*{}", &name[dot..]))
        .filter(move |pattern| pattern != name)
}

#[expect(clippy::cast_possible_truncation, reason = "a part of a life is between 0 and 1")]
fn thousandths(part: f64) -> i64 {
    (part * 1_000.0).round() as i64
}

#[expect(clippy::cast_precision_loss, reason = "0 to 1000")]
fn part(thousandths: i64) -> f64 {
    thousandths as f64 / 1_000.0
}

impl Record for Said {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        let muted = match row.time_or_null("muted_until")? {
            Some(until) => {
                Some(Mute { until, reason: row.string_or_null("mute_reason")?.unwrap_or_default() })
            }
            None => None,
        };
        let thresholds = row.number_or_null("warn")?.zip(row.number_or_null("critical")?);
        Ok(Self {
            subject: row.string("subject")?,
            care: Care {
                owner: row.string_or_null("owner")?,
                muted,
                forgotten_at: row.time_or_null("forgotten_at")?,
                thresholds: thresholds
                    .map(|(warn, critical)| Thresholds { warn: part(warn), critical: part(critical) }),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cares(said: &[(&str, Care)]) -> Cares {
        Cares { by_subject: said.iter().map(|(s, care)| ((*s).to_owned(), care.clone())).collect() }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn owner(owner: &str) -> Care {
        Care { owner: Some(owner.into()), ..Care::default() }
    }

    fn forgotten(second: i64) -> Care {
        Care { forgotten_at: Some(Timestamp::from_unix(second)), ..Care::default() }
    }

    #[test]
    fn the_nearest_word_counts() {
        let cares = cares(&[
            ("*.lan", owner("all")),
            ("*.b.lan", owner("below b")),
            ("a.b.lan", owner("a")),
            ("a.b.lan,z.lan", owner("both")),
        ]);
        let owner = |set: &[&str]| cares.of(&names(set)).owner;
        assert_eq!(owner(&["x.lan"]).as_deref(), Some("all"));
        assert_eq!(owner(&["*.b.lan"]).as_deref(), Some("below b"), "the wildcard itself");
        assert_eq!(owner(&["y.x.b.lan"]).as_deref(), Some("below b"));
        assert_eq!(owner(&["a.b.lan"]).as_deref(), Some("a"));
        assert_eq!(owner(&["a.b.lan", "z.lan"]).as_deref(), Some("both"));
        assert_eq!(owner(&["a.b.lan", "y.lan"]).as_deref(), Some("a"));
        assert_eq!(owner(&["lan"]), None);
        assert_eq!(cares.subjects(&names(&["a.b.lan"])), ["a.b.lan", "*.b.lan", "*.lan"]);
    }

    #[test]
    fn a_set_is_forgotten_with_all_its_names_only() {
        let cares = cares(&[("a.lan", forgotten(1)), ("b.lan", forgotten(2)), ("c.lan,d.lan", forgotten(3))]);
        let at = |set: &[&str]| cares.of(&names(set)).forgotten_at.map(Timestamp::unix);
        assert_eq!(at(&["a.lan"]), Some(1));
        assert_eq!(at(&["a.lan", "b.lan"]), Some(2));
        assert_eq!(at(&["a.lan", "c.lan"]), None);
        assert_eq!(at(&["c.lan", "d.lan"]), Some(3));
        assert_eq!(at(&["c.lan"]), None);
    }

    #[test]
    fn of_two_mutes_the_longer_one_holds() {
        let mute = |second: i64| Care {
            muted: Some(Mute { until: Timestamp::from_unix(second), reason: second.to_string() }),
            ..Care::default()
        };
        let cares = cares(&[("a.lan", mute(5)), ("*.lan", mute(9))]);
        assert_eq!(cares.of(&names(&["a.lan"])).muted.unwrap().reason, "9");
    }
}
