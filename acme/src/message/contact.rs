//! Contact URLs, RFC 8555 7.3 and RFC 6068.

use crate::identifier::DnsName;
use crate::problem::{Kind, Problem, plain};

/// Whether every contact is one `mailto:` address, RFC 8555 7.3. What is kept is mailed to and shown, so only the plain
/// form is accepted: no header fields, no second address, no escapes.
///
/// # Errors
/// `unsupportedContact` for another scheme, `invalidContact` for everything else.
pub fn check_contacts(contacts: &[String]) -> Result<(), Problem> {
    if contacts.len() > CONTACT_LIMIT {
        return Err(invalid(format!("more than {CONTACT_LIMIT} contacts")));
    }
    contacts.iter().try_for_each(|contact| check_contact(contact))
}

fn check_contact(contact: &str) -> Result<(), Problem> {
    let shown = plain(contact, 80);
    let refuse = |why: &str| Err(invalid(format!("contact {shown}: {why}")));
    if contact.len() > CONTACT_LENGTH {
        return refuse("it is longer than 254 octets");
    }
    let Some((scheme, address)) = contact.split_once(':') else {
        return refuse("it is not a URL; send mailto:name@example.org");
    };
    if !scheme.eq_ignore_ascii_case("mailto") {
        let detail = format!("contact {shown}: only mailto is supported");
        return Err(Problem::new(Kind::UnsupportedContact, detail));
    }
    if !address.is_ascii() {
        return refuse("it is not ASCII");
    }
    if address.contains('?') {
        return refuse("header fields are not accepted");
    }
    if address.contains(',') {
        return refuse("one contact has one address");
    }
    if address.contains('%') {
        return refuse("write it without percent-encoding");
    }
    let Some((local, domain)) = address.rsplit_once('@') else {
        return refuse("an address is local@domain");
    };
    // RFC 5322 3.2.3, less what means something else in a URL.
    let is_atom = |c: u8| c.is_ascii_alphanumeric() || b"!$&'*+-=^_{|}~".contains(&c);
    if local.len() > 64 || local.split('.').any(|atom| atom.is_empty() || !atom.bytes().all(is_atom)) {
        return refuse("the part before the @ is not valid");
    }
    match DnsName::parse(domain) {
        Ok(name) if !name.is_wildcard() => Ok(()),
        _ => refuse("the part after the @ is not a domain name"),
    }
}

fn invalid(detail: String) -> Problem {
    Problem::new(Kind::InvalidContact, detail)
}

const CONTACT_LIMIT: usize = 10;
const CONTACT_LENGTH: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(contact: &str) -> Result<(), Problem> {
        check_contacts(&[contact.to_owned()])
    }

    #[test]
    fn plain_addresses_are_accepted() {
        for contact in [
            "mailto:ops@example.org",
            "MAILTO:ops@example.org",
            "mailto:first.last+acme@mail.example.org",
            "mailto:root@nas",
            "mailto:o'neil_x@example.org",
        ] {
            assert_eq!(check(contact), Ok(()), "{contact}");
        }
        assert_eq!(check_contacts(&[]), Ok(()));
    }

    #[test]
    fn each_fault_of_a_contact_is_named() {
        let long = format!("mailto:{}@example.org", "a".repeat(65));
        let rows = [
            ("", "not a URL"),
            ("ops@example.org", "not a URL"),
            ("mailto:", "local@domain"),
            ("mailto:ops", "local@domain"),
            ("mailto:ops@", "domain name"),
            ("mailto:@example.org", "before the @"),
            ("mailto:a@b@example.org", "before the @"),
            ("mailto:a..b@example.org", "before the @"),
            ("mailto:.a@example.org", "before the @"),
            ("mailto:a b@example.org", "before the @"),
            ("mailto:\"a\"@example.org", "before the @"),
            ("mailto://a@example.org/", "before the @"),
            ("mailto:a\r\nBcc:x@example.org", "before the @"),
            (&long, "before the @"),
            ("mailto:a@example..org", "domain name"),
            ("mailto:a@*.example.org", "domain name"),
            ("mailto:a@10.0.0.1", "domain name"),
            ("mailto:a@example.org ", "domain name"),
            ("mailto:a@exämple.org", "not ASCII"),
            ("mailto:a@example.org?subject=x", "header fields"),
            ("mailto:a@example.org,b@example.org", "one address"),
            ("mailto:a%40x@example.org", "percent-encoding"),
        ];
        for (contact, phrase) in rows {
            let problem = check(contact).expect_err(contact);
            assert_eq!((problem.kind, problem.status), (Kind::InvalidContact, 400), "{contact}");
            assert!(problem.detail.contains(phrase), "{contact}: {problem}");
        }
    }

    #[test]
    fn other_schemes_are_not_supported() {
        for contact in ["tel:+15551234", "https://example.org/", "javascript:alert(1)", ":a@example.org"] {
            assert_eq!(check(contact).expect_err(contact).kind, Kind::UnsupportedContact);
        }
    }

    #[test]
    fn contacts_are_few_and_short() {
        let ten = vec!["mailto:a@example.org".to_owned(); CONTACT_LIMIT];
        assert_eq!(check_contacts(&ten), Ok(()));
        let eleven = vec!["mailto:a@example.org".to_owned(); CONTACT_LIMIT + 1];
        assert_eq!(check_contacts(&eleven).expect_err("11").kind, Kind::InvalidContact);
        let long = format!("mailto:a@{}lan", "abcd.".repeat(50));
        assert!(check(&long).expect_err("long").detail.contains("254 octets"));
    }

    #[test]
    fn one_bad_contact_among_good_ones_is_found() {
        let contacts = ["mailto:a@example.org", "mailto:b"].map(str::to_owned);
        assert!(check_contacts(&contacts).expect_err("b").detail.contains("mailto:b"));
    }
}
