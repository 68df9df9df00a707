//! dns-persist-01, draft-ietf-acme-dns-persist-02: a TXT record that stays, names the CA, and names the account by a hash
//! over its key, its URL and the name. Whether a record that was found lets an account have a name is judged here.
//!
//! Of what the draft leaves to the CA: a record speaks for its own name (and with `policy=wildcard` for its wildcard), not
//! for names below it (6); nothing is valid before its client asks (4.4); SHA-256 is the one hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::issue_value::IssueValue;
use crate::jwk::sha256;
use crate::problem::plain;
use crate::time::Timestamp;

/// Who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The name without `*.`, in canonical form.
    pub base: &'a str,
    /// Whether its wildcard is asked for.
    pub wildcard: bool,
    /// The names by which a record may mean us, in lower case.
    pub identities: &'a [String],
    /// What we advertise as `accountHashPrefix`.
    pub hash_prefix: &'a str,
    /// The account's URL.
    pub account_url: &'a str,
    /// The RFC 7638 thumbprints of all keys that the account had, the present one first. None: it is not valid.
    pub thumbprints: &'a [String],
    /// The moment.
    pub now: Timestamp,
}

/// Why no record will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No record names us, or those that do are for others or over.
    Unauthorized(String),
    /// Those that name us break the form.
    Malformed(String),
}

/// Where the record is looked for.
pub fn record_name(base: &str) -> String {
    format!("_validation-persist.{base}")
}

/// What names an account in a record, without our prefix (4.1): for a name, or for `*`, which means any.
pub fn account_hash(domain: &str, thumbprint: &str, account_url: &str) -> String {
    let length = u8::try_from(domain.len()).expect("a name in DNS has at most 253 octets");
    let octets = [&[length][..], domain.as_bytes(), thumbprint.as_bytes(), account_url.as_bytes()].concat();
    format!("sha-256/{}", URL_SAFE_NO_PAD.encode(sha256(&octets)))
}

/// Judges all records of a name; one that holds suffices. Gives the end that it sets to itself, if it does.
///
/// # Errors
/// What is wrong with those that name us, or that none does.
pub fn judge(records: &[String], request: &Request<'_>) -> Result<Option<Timestamp>, Refusal> {
    let (mut malformed, mut refused) = (Vec::new(), Vec::new());
    for record in records {
        match judge_one(record, request) {
            Some(Ok(until)) => return Ok(until),
            Some(Err(Refusal::Malformed(why))) => malformed.push(why),
            Some(Err(Refusal::Unauthorized(why))) => refused.push(why),
            None => {}
        }
    }
    let join = |reasons: Vec<String>| plain(&reasons.join("; "), 300);
    Err(if !refused.is_empty() {
        Refusal::Unauthorized(join(refused))
    } else if !malformed.is_empty() {
        Refusal::Malformed(join(malformed))
    } else {
        let us = request.identities.join(" or ");
        Refusal::Unauthorized(format!("none of the {} TXT records names {us}", records.len()))
    })
}

/// `None`: the record is somebody else's.
fn judge_one(record: &str, request: &Request<'_>) -> Option<Result<Option<Timestamp>, Refusal>> {
    let issuer = record.split(';').next().unwrap_or_default().trim_matches([' ', '\t']);
    request.identities.iter().find(|identity| identity.eq_ignore_ascii_case(issuer))?;
    Some(read(record, request))
}

fn read(record: &str, request: &Request<'_>) -> Result<Option<Timestamp>, Refusal> {
    let malformed = |why: &str| Refusal::Malformed(format!("the record '{}': {why}", plain(record, 160)));
    let refused = |why: String| Refusal::Unauthorized(format!("the record '{}': {why}", plain(record, 160)));
    let value = IssueValue::parse(record).map_err(malformed)?;
    let parameter = |tag| value.parameter(tag).map_err(malformed);

    let account = parameter("accounturi")?.ok_or_else(|| malformed("accounturi is missing"))?;
    let policy = parameter("policy")?;
    let until = match parameter("persistUntil")? {
        Some(digits) => Some(read_end(digits).ok_or_else(|| malformed("persistUntil is no UNIX timestamp"))?),
        None => None,
    };
    let hash = account.strip_prefix(request.hash_prefix).filter(|hash| is_hash(hash)).ok_or_else(|| {
        malformed(&format!("accounturi is not {}sha-256/ and 43 characters", request.hash_prefix))
    })?;

    let is_ours = |thumbprint: &String| {
        [request.base, "*"].iter().any(|domain| hash == account_hash(domain, thumbprint, request.account_url))
    };
    if !request.thumbprints.iter().any(is_ours) {
        return Err(refused(format!("accounturi is not that of {} for this name", request.account_url)));
    }
    if request.wildcard && !policy.is_some_and(|policy| policy.eq_ignore_ascii_case("wildcard")) {
        return Err(refused("a wildcard needs policy=wildcard".to_owned()));
    }
    if let Some(end) = until.filter(|end| *end < request.now) {
        return Err(refused(format!("it was good until {end}")));
    }
    Ok(until)
}

fn is_hash(text: &str) -> bool {
    let Some(hash) = text.strip_prefix("sha-256/") else { return false };
    URL_SAFE_NO_PAD.decode(hash).is_ok_and(|digest| digest.len() == 32)
}

fn read_end(digits: &str) -> Option<Timestamp> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok().map(Timestamp::from_unix))?
}

#[cfg(test)]
mod tests {
    use super::*;

    // draft-ietf-acme-dns-persist-02 10.2.
    const THUMBPRINT: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
    const URL: &str = "https://ca.example/acct/123";
    const PREFIX: &str = "https://ca.example/account-hash/";
    const OURS: &str = "sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw";
    const ANY: &str = "sha-256/NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug";
    const NOW: i64 = 1_700_000_000;

    fn judged(
        records: &[&str],
        base: &str,
        wildcard: bool,
        keys: &[&str],
    ) -> Result<Option<Timestamp>, Refusal> {
        let records: Vec<String> = records.iter().map(ToString::to_string).collect();
        let thumbprints: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let identities = ["authority.example".to_owned()];
        let request = Request {
            base,
            wildcard,
            identities: &identities,
            hash_prefix: PREFIX,
            account_url: URL,
            thumbprints: &thumbprints,
            now: Timestamp::from_unix(NOW),
        };
        judge(&records, &request)
    }

    fn of(records: &[&str]) -> Result<Option<Timestamp>, Refusal> {
        judged(records, "example.com", false, &[THUMBPRINT])
    }

    fn with(more: &str) -> String {
        format!("authority.example; accounturi={PREFIX}{OURS}{more}")
    }

    fn is_malformed(record: &str) -> bool {
        matches!(of(&[record]), Err(Refusal::Malformed(_)))
    }

    fn is_refused(record: &str) -> bool {
        matches!(of(&[record]), Err(Refusal::Unauthorized(_)))
    }

    #[test]
    fn the_hashes_are_those_of_the_draft() {
        assert_eq!(account_hash("example.com", THUMBPRINT, URL), OURS);
        assert_eq!(account_hash("*", THUMBPRINT, URL), ANY);
        assert_eq!(record_name("example.com"), "_validation-persist.example.com");
    }

    #[test]
    fn a_record_for_the_account_and_the_name_holds() {
        assert_eq!(of(&[&with("")]), Ok(None));
        assert_eq!(of(&[&format!("Authority.Example;accounturi={PREFIX}{ANY}")]), Ok(None));
        assert_eq!(of(&["v=spf1 -all", "other.example; accounturi=x; broken", &with("; new=1")]), Ok(None));
        assert_eq!(of(&[&with("; persistUntil=1700000000")]), Ok(Some(Timestamp::from_unix(NOW))));
    }

    #[test]
    fn a_record_of_an_earlier_key_holds_too() {
        assert_eq!(judged(&[&with("")], "example.com", false, &["new", "newer", THUMBPRINT]), Ok(None));
        let gone = judged(&[&with("")], "example.com", false, &[]);
        assert!(matches!(gone, Err(Refusal::Unauthorized(_))), "an account that is not valid: {gone:?}");
    }

    #[test]
    fn what_speaks_for_others_is_refused() {
        assert!(matches!(of(&[]), Err(Refusal::Unauthorized(_))));
        assert!(is_refused("other.example; accounturi=x"));
        let elsewhere = judged(&[&with("")], "example.org", false, &[THUMBPRINT]);
        assert!(matches!(elsewhere, Err(Refusal::Unauthorized(_))), "the hash binds the name");
        let other_key = judged(&[&with("")], "example.com", false, &["other"]);
        assert!(matches!(other_key, Err(Refusal::Unauthorized(_))));
        assert!(is_refused(&with("; persistUntil=1699999999")));
    }

    #[test]
    fn a_wildcard_needs_its_policy() {
        let wild = |more: &str| judged(&[&with(more)], "example.com", true, &[THUMBPRINT]);
        assert!(wild("; policy=wildcard").is_ok() && wild("; POLICY=WildCard").is_ok());
        assert!(wild("").is_err() && wild("; policy=other").is_err());
        assert!(of(&[&with("; policy=wildcard")]).is_ok() && of(&[&with("; policy=other")]).is_ok());
    }

    #[test]
    fn what_breaks_the_form_is_malformed() {
        assert!(is_malformed("authority.example"));
        assert!(is_malformed("authority.example; accounturi=https://ca.example/acct/123"), "the form of -01");
        assert!(is_malformed(&format!("authority.example; accounturi={PREFIX}sha-512/x")));
        assert!(is_malformed(&format!("authority.example; accounturi={PREFIX}sha-256/short")));
        for more in [
            ";",
            "; x",
            "; policy=a; policy=b",
            "; persistUntil=soon",
            "; persistUntil=-1",
            "; persistUntil=",
        ] {
            assert!(is_malformed(&with(more)), "{more}");
        }
        assert!(is_malformed(&with(&format!("; accounturi={PREFIX}{OURS}"))));
    }
}
