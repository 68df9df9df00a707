//! Lineages, [`acme::lineage`]: sets of names with all that is known of them, put together from certificates, orders,
//! authorizations and the operator's word. They are read in pages of bounded size, each with a handful of queries that use
//! an index, whatever the store holds.

pub(crate) mod facts;
pub(crate) mod pages;
pub(crate) mod recent;

use acme::id::Serial;
use acme::lineage::Lineage;
use acme::time::Timestamp;

pub use self::recent::{FailedOrder, IssuedOrder, Recent};

use crate::error::Error;
use crate::store::Store;

/// Which lineages are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that may need attention: whose certificate is not certain to be fresh, whose client may be silent, whose
    /// orders failed since the last that brought a certificate, whose owner's thresholds are met before that, or of which
    /// something is served that should not be, a revoked certificate among it. What is to be thought of them is for the
    /// caller to say; no others are read.
    Attention,
    /// Those whose current certificate ends before a moment, the first to end first.
    EndingBefore(Timestamp),
    /// All that have a certificate or whose orders failed lately, by their names.
    All,
}

/// Where a page ended and the next one begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(Position);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Position {
    /// Behind this certificate, in the order of the index at hand.
    Certificate(i64, String),
    /// Among the names whose orders failed, behind these.
    Failed(String),
    /// Among the names whose owner wants them looked at early, behind these.
    Early(String),
    /// Among those of which something is served that should not be, behind this host.
    Served(String),
    /// Behind these names.
    Names(String),
}

/// Some lineages.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// At most as many as were asked for, and the server's own where a client has its names too; also none, while there
    /// are more to come.
    pub lineages: Vec<Lineage>,
    /// Where the next page begins; none behind the last one.
    pub next: Option<Place>,
}

impl Store {
    /// At most `limit` lineages behind `after`, as they stand at `now`. The server's own certificate is a lineage of its own,
    /// even if a client has one for the same names.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn lineages(
        &self,
        which: Which,
        now: Timestamp,
        limit: u32,
        after: Option<&Place>,
    ) -> Result<Page, Error> {
        let after = after.map(|place| &place.0);
        match which {
            Which::Attention => pages::attention(self, now, limit, after).await,
            Which::EndingBefore(end) => pages::ending(self, end, now, limit, after).await,
            Which::All => pages::all(self, now, limit, after).await,
        }
    }

    /// Those that may need attention: [`Store::lineages`] of [`Which::Attention`].
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn attention(&self, now: Timestamp, limit: u32, after: Option<&Place>) -> Result<Page, Error> {
        self.lineages(Which::Attention, now, limit, after).await
    }

    /// The lineages of exactly these names, as `acme::identifier::name_set` writes them: none, one, or two where the
    /// server has them on its own certificate too. A name that was ordered within thirty days has one, whatever became of it.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn lineages_of(&self, names: &str, now: Timestamp) -> Result<Vec<Lineage>, Error> {
        facts::of_names(self, vec![names.to_owned()], now).await
    }

    /// The same for several sets of names at once.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn lineages_of_all(&self, sets: Vec<String>, now: Timestamp) -> Result<Vec<Lineage>, Error> {
        facts::of_names(self, sets, now).await
    }

    /// The lineages that have a name alone or among others; those that have it alone first. It looks through the names of
    /// all current certificates, so it is for `ca-ctl` and not for a request.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn lineages_with_name(
        &self,
        name: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Lineage>, Error> {
        pages::with_name(self, name, now, limit).await
    }

    /// The lineages with a name below a suffix, which begins with a dot; its wildcard too. It looks through all names likewise.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn lineages_below(
        &self,
        suffix: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Lineage>, Error> {
        pages::below(self, suffix, now, limit).await
    }

    /// How many sets of names have a certificate that is neither revoked nor superseded.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn count_lineages(&self) -> Result<u64, Error> {
        pages::count(self).await
    }
}

/// A serial as a key for paging.
fn key(serial: &Serial) -> String {
    serial.as_str().to_owned()
}
