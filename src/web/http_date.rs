//! Dates as HTTP writes them: IMF-fixdate, RFC 9110 5.6.7. The older forms are not read: who sends them gets the whole
//! answer, as if they had sent nothing.

use acme::time::Timestamp;
use time::format_description::{self, OwnedFormatItem};
use time::{OffsetDateTime, PrimitiveDateTime};

/// `Sun, 22 Nov 2026 19:09:00 GMT`.
pub(super) fn write(moment: Timestamp) -> String {
    moment.to_datetime().format(&form()).expect("every field of the form is one of a moment in UTC")
}

/// Reads the same form.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    let read: PrimitiveDateTime = PrimitiveDateTime::parse(text, &form()).ok()?;
    let moment: OffsetDateTime = read.assume_utc();
    Some(Timestamp::from_unix(moment.unix_timestamp()))
}

fn form() -> OwnedFormatItem {
    const FORM: &str = "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT";
    format_description::parse_owned::<2>(FORM).expect("the form is well written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_back_as_it_was_written() {
        let moment = Timestamp::from_unix(1_795_374_540);
        assert_eq!(write(moment), "Sun, 22 Nov 2026 19:09:00 GMT");
        assert_eq!(read("Sun, 22 Nov 2026 19:09:00 GMT"), Some(moment));
        assert_eq!(write(Timestamp::from_unix(1_793_577_609)), "Mon, 02 Nov 2026 00:00:09 GMT");
        for other in ["", "yesterday", "Sunday, 22-Nov-26 19:09:00 GMT", "Mon, 22 Nov 2026 19:09:00 CET"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
