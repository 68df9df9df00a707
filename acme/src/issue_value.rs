//! The `issue-value` of RFC 8659 4.2: whom a CAA record lets issue, and under which conditions. Records of
//! dns-persist-01 are written the same way.

/// A value that keeps to the grammar, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueValue<'a> {
    /// The issuer's domain name as written; empty when nobody may issue.
    pub issuer: &'a str,
    /// Tags as written, with their values, in order.
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> IssueValue<'a> {
    /// Takes a value apart.
    ///
    /// # Errors
    /// The rule that it breaks. Whoever reads CAA takes such a value for one that lets nobody issue.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        let (issuer, rest) = match text.split_once(';') {
            Some((issuer, rest)) => (trim(issuer), Some(rest)),
            None => (trim(text), None),
        };
        if !issuer.is_empty() && !issuer.split('.').all(is_label) {
            return Err("the issuer is not a domain name");
        }
        // A semicolon may end the value when no parameter follows; after a parameter it may not.
        let rest = rest.map(trim).filter(|rest| !rest.is_empty());
        let mut parameters = Vec::new();
        for parameter in rest.into_iter().flat_map(|rest| rest.split(';')) {
            let Some((tag, value)) = parameter.split_once('=') else {
                return Err("a parameter is not of the form tag=value");
            };
            let (tag, value) = (trim(tag), trim(value));
            if !is_label(tag) {
                return Err("the tag of a parameter is not made of letters, digits and hyphens");
            }
            if !value.bytes().all(|b| b.is_ascii_graphic()) {
                return Err("the value of a parameter holds a space, or something that is not ASCII");
            }
            parameters.push((tag, value));
        }
        Ok(Self { issuer, parameters })
    }

    /// Whether the issuer is one of `identities`, which are in lower case.
    pub fn is_for(&self, identities: &[String]) -> bool {
        identities.iter().any(|identity| identity.eq_ignore_ascii_case(self.issuer))
    }

    /// The value of a parameter, if it is there.
    ///
    /// # Errors
    /// It is there more than once, and means nothing then.
    pub fn parameter(&self, tag: &str) -> Result<Option<&'a str>, &'static str> {
        let mut found = self.parameters.iter().filter(|(t, _)| t.eq_ignore_ascii_case(tag)).map(|(_, v)| *v);
        let first = found.next();
        if found.next().is_some() { Err("a parameter stands twice") } else { Ok(first) }
    }
}

/// RFC 8659 4.2, `label` and `parameter-tag`.
fn is_label(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_taken_apart() {
        let value =
            IssueValue::parse(" CA.example ; accounturi = https://ca.example/acct/1?a=b;\tPolicy=w").unwrap();
        assert_eq!(value.issuer, "CA.example");
        assert!(value.is_for(&["ca.example".to_owned()]) && !value.is_for(&["a.example".to_owned()]));
        assert_eq!(value.parameter("accounturi"), Ok(Some("https://ca.example/acct/1?a=b")));
        assert_eq!((value.parameter("policy"), value.parameter("other")), (Ok(Some("w")), Ok(None)));
    }

    #[test]
    fn nobody_can_be_named_in_several_ways() {
        for text in ["", " ", ";", " ; "] {
            let value = IssueValue::parse(text).unwrap();
            assert!(value.issuer.is_empty() && !value.is_for(&["ca.example".to_owned()]), "{text:?}");
        }
        assert_eq!(IssueValue::parse("ca.example;").unwrap().issuer, "ca.example");
    }

    #[test]
    fn what_breaks_the_grammar_is_no_value() {
        for text in [
            "%%%%%",
            "ca..example",
            "ca.example.",
            "ca_1.example",
            "-ca.example",
            "ca.example x",
            "ca.example; a",
            "ca.example; a=b;",
            "ca.example;; a=b",
            "ca.example; =b",
            "ca.example; a_b=c",
            "ca.example; -a=c",
            "ca.example; a=b c",
            "ca.example; a=\u{fc}",
            "c\u{fc}.example",
        ] {
            assert!(IssueValue::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_parameter_that_stands_twice_means_nothing() {
        let value = IssueValue::parse("ca.example; a=1; A=1").unwrap();
        assert!(value.parameter("a").is_err());
    }
}
