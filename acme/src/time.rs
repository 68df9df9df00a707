//! The one form of time: whole seconds since 1970 UTC. On the wire it is RFC 3339 with `Z` (RFC 8555 7.1.3), in a
//! row it is a number, in a certificate it is what RFC 5280 4.1.2.5 says.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::problem::plain;

/// A moment, in whole seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// The moment so many seconds after 1970. Kept inside the years 1 to 9999, which is what X.509 can say.
    pub fn from_unix(seconds: i64) -> Self {
        Self(seconds.clamp(EARLIEST, LATEST))
    }

    /// Seconds since 1970.
    pub fn unix(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339, `2026-11-22T19:09:00Z`; parts of a second are dropped.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(|t| Self::from_unix(t.unix_timestamp()))
    }

    /// The moment as rcgen and X.509 want it.
    pub fn to_datetime(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.0).expect("a Timestamp lies between the years 1 and 9999")
    }

    /// So much later.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self::from_unix(self.0.saturating_add(seconds(span)))
    }

    /// So much earlier.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self::from_unix(self.0.saturating_sub(seconds(span)))
    }

    /// Seconds from `earlier` to this moment; negative when this one is the earlier.
    pub fn seconds_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_datetime().format(&Rfc3339).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_rfc3339(&text).ok_or_else(|| {
            let text = plain(&text, 40);
            de::Error::custom(format!(
                "'{text}' is no date and time of RFC 3339, such as 2026-11-22T19:09:00Z"
            ))
        })
    }
}

fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

const EARLIEST: i64 = -62_135_596_800; // 0001-01-01T00:00:00Z
const LATEST: i64 = 253_402_300_799; // 9999-12-31T23:59:59Z

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_has_whole_seconds_and_z() {
        let moment = Timestamp::from_unix(1_795_374_540);
        assert_eq!(moment.to_string(), "2026-11-22T19:09:00Z");
        assert_eq!(Timestamp::parse_rfc3339("2026-11-22T20:09:00.75+01:00"), Some(moment));
    }

    #[test]
    fn no_sum_leaves_what_a_certificate_can_say() {
        let last = Timestamp::from_unix(i64::MAX);
        assert_eq!(last.to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(last.plus(Duration::MAX), last);
        assert_eq!(Timestamp::from_unix(i64::MIN).minus(Duration::MAX).to_string(), "0001-01-01T00:00:00Z");
    }
}
