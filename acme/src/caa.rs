//! Certification Authority Authorization, RFC 8659 4 and RFC 8657: whether a set of CAA records lets us issue. Which set
//! it is (RFC 8659 3) is found elsewhere; this is the judgement alone.

use crate::challenge::Type;
use crate::issue_value::IssueValue;
use crate::problem::plain;

/// One property, RFC 8659 4.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Whether a CA that does not know the tag must not issue.
    pub critical: bool,
    /// The tag in any case.
    pub tag: String,
    /// The value, as octets: nothing says that it is text.
    pub value: Vec<u8>,
}

/// What is about to be issued.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Whether the name is a wildcard.
    pub wildcard: bool,
    /// The names by which records mean us, in lower case.
    pub identities: &'a [String],
    /// The URL of the account, RFC 8657 3.
    pub account_url: &'a str,
    /// How control was shown, RFC 8657 4.
    pub method: Type,
}

/// Judges the relevant set of a name. An empty set lets everybody issue.
///
/// # Errors
/// Why it does not let us, in a sentence that quotes the records.
pub fn judge(set: &[Property], request: &Request<'_>) -> Result<(), String> {
    let of = |tag: &'static str| set.iter().filter(move |property| property.tag.eq_ignore_ascii_case(tag));
    let unknown = |property: &&Property| {
        property.critical && !KNOWN.iter().any(|known| property.tag.eq_ignore_ascii_case(known))
    };
    if let Some(property) = set.iter().find(unknown) {
        return Err(format!("{} is critical and not known here", show(property)));
    }
    // RFC 8659 4.3: issuewild decides alone for wildcards where it is there, and is ignored for other names.
    let wild = request.wildcard && of("issuewild").next().is_some();
    let tag = if wild { "issuewild" } else { "issue" };
    let mut refusals = Vec::new();
    for property in of(tag) {
        match permits(property, request) {
            Ok(()) => return Ok(()),
            Err(why) => refusals.push(format!("{} {why}", show(property))),
        }
    }
    // A set that says nothing of issuance (RFC 8659 4.2) forbids nothing.
    if refusals.is_empty() { Ok(()) } else { Err(plain(&refusals.join("; "), 300)) }
}

/// How a record is shown in evidence: as in a zone file, made harmless and cut short.
pub fn show(property: &Property) -> String {
    let flags = if property.critical { "128 " } else { "0 " };
    let value = String::from_utf8_lossy(&property.value);
    format!("{flags}{} '{}'", plain(&property.tag, 15), plain(&value, 120))
}

/// Whether one issue or issuewild property means us, this account and this method.
fn permits(property: &Property, request: &Request<'_>) -> Result<(), String> {
    let text = std::str::from_utf8(&property.value).map_err(|_| "is not ASCII, and lets nobody issue")?;
    let value =
        IssueValue::parse(text).map_err(|why| format!("is malformed ({why}), and lets nobody issue"))?;
    if !value.is_for(request.identities) {
        return Err(format!("does not name {}", request.identities.join(" or ")));
    }
    if let Some(account) = value.parameter("accounturi")?
        && account != request.account_url
    {
        return Err(format!("is for another account than {}", request.account_url));
    }
    if let Some(methods) = value.parameter("validationmethods")? {
        let well_formed =
            |m: &str| !m.is_empty() && m.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !methods.split(',').all(well_formed) {
            return Err("has validationmethods that are malformed, and lets nobody issue".to_owned());
        }
        if !methods.split(',').any(|method| method == request.method.as_str()) {
            return Err(format!("does not allow validation by {}", request.method));
        }
    }
    Ok(())
}

/// The properties that we know (RFC 8659 4.2 to 4.4). iodef asks for reports, which a private CA makes to its own log.
const KNOWN: [&str; 3] = ["issue", "issuewild", "iodef"];

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "https://ca.lan/acme/account/1";

    /// A set from its zone file form, `flags tag value` a line.
    fn set(lines: &[&str]) -> Vec<Property> {
        let property = |line: &&str| {
            let mut parts = line.splitn(3, ' ');
            let critical = parts.next() == Some("128");
            let tag = parts.next().unwrap().to_owned();
            Property { critical, tag, value: parts.next().unwrap_or_default().as_bytes().to_vec() }
        };
        lines.iter().map(property).collect()
    }

    fn judged(lines: &[&str], wildcard: bool) -> Result<(), String> {
        let identities = ["ca.lan".to_owned(), "other.lan".to_owned()];
        let method = Type::Dns01;
        judge(&set(lines), &Request { wildcard, identities: &identities, account_url: ACCOUNT, method })
    }

    fn allows(lines: &[&str]) -> bool {
        judged(lines, false).is_ok()
    }

    fn allows_wild(lines: &[&str]) -> bool {
        judged(lines, true).is_ok()
    }

    #[test]
    fn without_a_word_about_issuance_everybody_may() {
        assert!(allows(&[]) && allows_wild(&[]));
        assert!(allows(&["0 iodef mailto:a@b.lan"]) && allows_wild(&["0 iodef mailto:a@b.lan"]));
        assert!(allows(&["0 unknown x"]));
        assert!(allows(&["0 issuewild ;"]), "issuewild says nothing of other names");
    }

    #[test]
    fn one_record_that_names_us_suffices() {
        assert!(allows(&["0 issue ca.lan"]) && allows(&["0 ISSUE CA.LAN"]) && allows(&["0 issue other.lan"]));
        assert!(allows(&["0 issue letsencrypt.org", "0 issue ca.lan"]));
        assert!(allows(&["0 issue ;", "0 issue ca.lan"]), "they add up");
        assert!(!allows(&["0 issue letsencrypt.org"]) && !allows(&["0 issue ;"]) && !allows(&["0 issue "]));
        let why = judged(&["0 issue letsencrypt.org"], false).unwrap_err();
        assert!(why.contains("'letsencrypt.org'") && why.contains("ca.lan or other.lan"), "{why}");
    }

    #[test]
    fn a_malformed_record_lets_nobody_issue() {
        assert!(!allows(&["0 issue %%%%%"]) && !allows(&["0 issue ca.lan; broken"]));
        let property = Property { critical: false, tag: "issue".into(), value: vec![0xff, 0xfe] };
        let request =
            Request { wildcard: false, identities: &[], account_url: ACCOUNT, method: Type::Http01 };
        assert!(judge(&[property], &request).is_err());
    }

    #[test]
    fn for_wildcards_issuewild_decides_where_it_is_there() {
        assert!(allows_wild(&["0 issue ca.lan"]) && !allows_wild(&["0 issue x.lan"]));
        assert!(allows_wild(&["0 issue x.lan", "0 issuewild ca.lan"]));
        assert!(!allows_wild(&["0 issue ca.lan", "0 issuewild ;"]));
        assert!(allows(&["0 issue ca.lan", "0 issuewild ;"]));
        assert!(!allows(&["0 issue x.lan", "0 issuewild ca.lan"]));
    }

    #[test]
    fn what_is_critical_and_unknown_stops_everything() {
        assert!(!allows(&["0 issue ca.lan", "128 future x"]) && !allows_wild(&["128 future x"]));
        assert!(allows(&["128 issue ca.lan"]) && allows(&["128 iodef mailto:a@b.lan"]));
        assert!(allows(&["0 issue ca.lan", "0 future x"]));
    }

    #[test]
    fn an_account_and_a_method_can_be_demanded() {
        let ours = format!("0 issue ca.lan; accounturi={ACCOUNT}");
        assert!(allows(&[&ours]));
        assert!(!allows(&["0 issue ca.lan; accounturi=https://ca.lan/acme/account/2"]));
        assert!(!allows(&[&format!("{ours}; accounturi={ACCOUNT}")]), "RFC 8657 3: twice is never");
        assert!(allows(&["0 issue ca.lan; validationmethods=http-01,dns-01"]));
        assert!(allows(&["0 issue ca.lan; validationmethods=ca-special,dns-01"]));
        assert!(!allows(&["0 issue ca.lan; validationmethods=http-01"]));
        assert!(!allows(&["0 issue ca.lan; validationmethods="]));
        assert!(!allows(&["0 issue ca.lan; validationmethods=dns-01,,"]));
        assert!(allows(&[&format!("{ours}; validationmethods=dns-01")]));
        assert!(!allows(&[&format!("{ours}; validationmethods=http-01")]));
        assert!(allows(&["0 issue ca.lan; cansignhttpexchanges=yes"]), "unknown parameters do not matter");
    }

    #[test]
    fn a_record_is_shown_harmless_and_short() {
        let property = Property { critical: true, tag: "issue".into(), value: vec![0x1b; 500] };
        let shown = show(&property);
        assert!(!shown.contains('\u{1b}') && shown.len() < 200, "{shown}");
    }
}
