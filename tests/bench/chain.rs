//! What the client checks in the chain that it downloads (RFC 8555 section 7.4.2). Fast and wrong is not fast.

use anyhow::{Context as _, bail, ensure};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

/// The leaf has the key of the CSR and names `name`; the issuers follow in order; with `signatures`, each signature
/// verifies under the next certificate.
pub(crate) fn check(pem: &[u8], name: &str, public_key: &[u8], signatures: bool) -> anyhow::Result<()> {
    let blocks = Pem::iter_from_buffer(pem).collect::<Result<Vec<_>, _>>().context("the chain is not PEM")?;
    let chain =
        blocks.iter().map(Pem::parse_x509).collect::<Result<Vec<_>, _>>().context("not a certificate")?;
    ensure!(chain.len() > 1, "the chain has no issuer");
    let leaf = &chain[0];
    ensure!(leaf.public_key().raw == public_key, "the leaf has another key than the CSR");
    let Some(names) = leaf.subject_alternative_name()? else { bail!("the leaf has no subjectAltName") };
    let named = names
        .value
        .general_names
        .iter()
        .any(|found| matches!(found, GeneralName::DNSName(dns) if *dns == name));
    ensure!(named, "the leaf does not name {name}");
    for pair in chain.windows(2) {
        ensure!(pair[0].issuer().as_raw() == pair[1].subject().as_raw(), "the chain is not in order");
        if signatures {
            pair[0].verify_signature(Some(pair[1].public_key())).context("a signature does not verify")?;
        }
    }
    Ok(())
}
