//! What is known at a moment: the facts from which [`super::rules`] draw conclusions. Whoever puts them together reads the
//! store, asks the prober and the notifier, and looks at the clock; here are only the values.
//!
//! What could not be read is `None`, which is not the same as "nothing is wrong": no alert ends for want of facts.

use std::collections::BTreeMap;
use std::time::Duration;

use acme::failure::Failure;
use acme::lineage::Lineage;
use acme::renewal::Thresholds;
use acme::time::Timestamp;

pub use store::room::Room;

/// Everything that the rules look at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Those that need attention, and those that open alerts are about; the others are well.
    pub lineages: Option<&'a [Lineage]>,
    /// When a certificate is overdue, and when critical, where its owner wants nothing else.
    pub thresholds: Thresholds,
    /// What validations came to, over all names.
    pub validations: Option<&'a Validations>,
    /// How the name servers answer.
    pub resolvers: Option<&'a [ResolverHealth]>,
    /// Of which targets, by their keys, name servers say that there is no such name, and since when.
    pub absent: Option<&'a BTreeMap<String, Timestamp>>,
    /// What name servers say of names that have a pin.
    pub pins: Option<&'a [Pinned]>,
    /// The issuers that sign, and the root.
    pub authorities: Option<&'a [Authority]>,
    /// The longest lifetime that any profile gives.
    pub longest: Duration,
    /// What the own listener shows.
    pub own: Option<&'a OwnCertificate>,
    /// The revocation lists.
    pub lists: Option<&'a [ListAge]>,
    /// Whether keys can be used.
    pub signer: Option<&'a Health>,
    /// Whether changes can be written.
    pub store: Option<&'a Health>,
    /// How much room is left where the store lies; none where nobody can say.
    pub room: Option<Room>,
    /// Whether the time is right.
    pub clock: Option<&'a ClockState>,
    /// When all targets were last looked at.
    pub prober: Option<&'a Prober>,
    /// Whether alerts get out.
    pub sinks: Option<&'a [SinkState]>,
    /// Names that had their first certificate since the last step.
    pub new_names: &'a [NewName],
}

/// Validations of the last half hour.
#[derive(Clone, Debug, Default)]
pub struct Validations {
    /// Attempts that failed, of orders that did and of those that go on.
    pub failed: Vec<Failed>,
    /// Those that succeeded.
    pub succeeded: Vec<Succeeded>,
}

/// An attempt that failed.
#[derive(Clone, Debug)]
pub struct Failed {
    /// The key of its lineage.
    pub lineage: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub failure: Failure,
}

/// An attempt that succeeded.
#[derive(Clone, Debug)]
pub struct Succeeded {
    /// The key of its lineage.
    pub lineage: String,
    /// When.
    pub at: Timestamp,
    /// Who gave the address, as in `Lookup::server`.
    pub server: Option<String>,
}

/// How a name server answers to names that it must know.
#[derive(Clone, Debug)]
pub struct ResolverHealth {
    /// The server, as configured.
    pub server: String,
    /// How many times in a row it failed.
    pub failures: u32,
    /// How many times in a row it did not.
    pub successes: u32,
    /// Since when it is so.
    pub since: Timestamp,
    /// What it answered last, and about which name.
    pub answer: String,
}

/// A name that has a pin.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// The name.
    pub name: String,
    /// What name servers say of it.
    pub footing: Footing,
    /// Since when they say so.
    pub since: Timestamp,
    /// When they were last asked.
    pub at: Timestamp,
}

/// What name servers say of a name that has a pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Footing {
    /// They know an address of the pin.
    Agrees,
    /// They know no such name.
    Alone,
    /// They know other addresses alone: which, in one sentence.
    Differs(String),
    /// They say nothing.
    Unknown,
}

impl Pinned {
    /// Whether it was so twice, a minute or more apart.
    pub fn is_sure(&self) -> bool {
        self.at.seconds_since(self.since) >= 60
    }
}

/// An issuer or the root.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Its key identifier in hexadecimal.
    pub key_id: String,
    /// Its name.
    pub name: String,
    /// Its end.
    pub not_after: Timestamp,
    /// Whether it is the root.
    pub is_root: bool,
}

/// The server's own certificate.
#[derive(Clone, Debug)]
pub struct OwnCertificate {
    /// Its beginning.
    pub not_before: Timestamp,
    /// Its end.
    pub not_after: Timestamp,
    /// Why it cannot be renewed, and since when.
    pub trouble: Option<Trouble>,
    /// What the own listener shows.
    pub shown: Listener,
}

/// What the own listener shows, as the prober saw it.
#[derive(Clone, Debug, Default)]
pub enum Listener {
    /// Nobody is to look at it.
    #[default]
    Unwatched,
    /// Nobody did lately, or only once, or could.
    Unknown,
    /// What it should.
    Well,
    /// Something else, or nothing.
    Bad(Trouble),
}

/// A revocation list.
#[derive(Clone, Debug)]
pub struct ListAge {
    /// Whose, as the store calls issuers.
    pub issuer: String,
    /// When it was made.
    pub this_update: Timestamp,
    /// Until when there must be a newer one.
    pub next_update: Timestamp,
}

/// Whether something works.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// What does not.
    pub trouble: Option<Trouble>,
}

/// What is wrong, and since when.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// Since when.
    pub since: Timestamp,
    /// What, in one sentence.
    pub what: String,
}

/// What speaks against the clock.
#[derive(Clone, Debug, Default)]
pub struct ClockState {
    /// Since when it is known that nothing keeps it in step; none where it is kept, and where nobody can tell.
    pub unsynchronised_since: Option<Timestamp>,
    /// The last step within a day: when, and how many seconds forward or back.
    pub step: Option<(Timestamp, i64)>,
}

/// How far the prober is.
#[derive(Clone, Copy, Debug)]
pub struct Prober {
    /// When it was last through, or when it began.
    pub last_pass: Timestamp,
    /// How often it is to be.
    pub interval: Duration,
}

/// What waits for a sink.
#[derive(Clone, Debug)]
pub struct SinkState {
    /// What it is called.
    pub name: String,
    /// When the oldest that waits was to be delivered; none when nothing waits.
    pub oldest: Option<Timestamp>,
    /// How many wait.
    pub waiting: u64,
    /// Why it takes nothing, when it said so itself or its certificate is not to be trusted.
    pub broken: Option<Trouble>,
}

/// A name with its first certificate.
#[derive(Clone, Debug)]
pub struct NewName {
    /// Its set of names.
    pub names: Vec<String>,
    /// Who looks after it.
    pub owner: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Whether no other name stands in its zone.
    pub is_outside: bool,
}
