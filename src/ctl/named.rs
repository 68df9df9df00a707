//! Names and addresses as operators give them: what they mean is taken, and what cannot be meant is refused with what would do.

use acme::identifier::Identifier;
use acme::problem::plain;
use anyhow::{anyhow, bail};

/// Reads a name or an address.
pub(super) fn named(text: &str) -> anyhow::Result<Identifier> {
    let text = text.trim();
    if text.is_empty() {
        bail!("a name is empty; `ca-ctl names list` shows those that there are");
    }
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split('/').next().unwrap_or_default();
        bail!("{} is a URL; its host would do: {}", plain(text, 100), plain(host, 100));
    }
    Identifier::said(text).map_err(|problem| match text.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() && Identifier::said(name).is_ok() => {
            anyhow!(
                "{} is a name with a port; the name alone would do: {}",
                plain(text, 100),
                plain(name, 100)
            )
        }
        _ => anyhow!(problem.detail),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_taken_and_what_cannot_be_is_refused_with_what_would_do() {
        for (text, name) in [
            ("ONE.lan", "one.lan"),
            ("one.lan.", "one.lan"),
            ("*.one.lan", "*.one.lan"),
            ("m\u{fc}nchen.lan", "xn--mnchen-3ya.lan"),
            ("10.0.0.1", "10.0.0.1"),
            ("[FD00:0::1]", "fd00::1"),
        ] {
            assert_eq!(named(text).unwrap().to_string(), name, "{text}");
        }
        for (text, words) in [
            (" ", "`ca-ctl names list`"),
            ("https://one.lan/a", "its host would do: one.lan"),
            ("one.lan:443", "the name alone would do: one.lan"),
            ("10.0.0.1:443", "the name alone would do: 10.0.0.1"),
            ("a_b.lan", "letters, digits and hyphens"),
        ] {
            let error = named(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
