//! What a name server sends (RFC 1035, RFC 6891, RFC 8659).

use std::net::IpAddr;

use acme::failure::Reason;
use acme::identifier::DnsName;
use acme_ca::resolver;
use hickory_resolver::proto::rr::RecordType;

use super::assert_text;

/// The octets as a whole message, and as what stands behind the question in one.
pub(crate) fn dns(data: &[u8]) -> String {
    let name = DnsName::parse("vault.lan").unwrap();
    let mut said = String::new();
    for record in [RecordType::A, RecordType::AAAA, RecordType::TXT, RecordType::CAA] {
        let whole = judge(data, &name, record);
        let behind = judge(&behind_the_question(data, record), &name, record);
        said.push_str(&format!("{whole} {behind} "));
    }
    // The shape of the words is cut after sixty letters; these are the telling ones.
    said
}

fn judge(message: &[u8], name: &DnsName, record: RecordType) -> String {
    let (lookup, why) = resolver::read(message, name, record, "10.0.0.53");
    assert_text(&lookup.answer, 40);
    assert!(
        lookup.addresses.len() <= 16 && lookup.aliases.len() <= 8 && lookup.values.len() <= 5,
        "{lookup:?}"
    );
    for text in lookup.values.iter().filter(|text| !text.is_empty()) {
        assert_text(text, 400);
    }
    for text in &lookup.aliases {
        assert!(text.is_ascii() && text.len() <= 1024 && !text.chars().any(char::is_control), "{text:?}");
    }
    match record {
        RecordType::A => assert!(lookup.addresses.iter().all(IpAddr::is_ipv4)),
        RecordType::AAAA => assert!(lookup.addresses.iter().all(IpAddr::is_ipv6)),
        _ => assert!(lookup.addresses.is_empty()),
    }
    let brought = !lookup.addresses.is_empty() || !lookup.values.is_empty();
    assert_eq!(why.is_none(), brought, "{lookup:?} {why:?}");
    match why {
        None => "brought".to_owned(),
        Some((reason, words)) => {
            assert_text(&words, 601);
            assert!(words.contains("vault.lan") && words.contains("10.0.0.53"), "{words}");
            let definite = matches!(reason, Reason::Nxdomain | Reason::Nodata);
            assert_eq!(definite, matches!(lookup.answer.as_str(), "NXDOMAIN" | "NODATA"), "{words}");
            lookup.answer
        }
    }
}

/// A message with the right question. The first two octets are how many records there are, and what code there is.
fn behind_the_question(data: &[u8], record: RecordType) -> Vec<u8> {
    let (count, code) = (data.first().copied().unwrap_or(0), data.get(1).copied().unwrap_or(0));
    let mut message = vec![0, 7, 0x81, 0x80 | code & 15, 0, 1, 0, count & 15, 0, 0, 0, count >> 7];
    message.extend_from_slice(b"\x05vault\x03lan\0");
    message.extend_from_slice(&u16::from(record).to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message.extend_from_slice(data.get(2..).unwrap_or_default());
    message
}
