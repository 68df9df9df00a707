//! The server's own certificate: issued in process from the intermediate, so that nothing that a client needs has to
//! work before it, and renewed at half its life without a restart. Its key stays in memory.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use crate::app::{App, Own};
use crate::{issuance, policy};

/// Issues the certificate when there is none, when half its life is over, or when the issuer has changed.
pub async fn renew(app: &Arc<App>) {
    let _renewing = app.renewing.lock().await;
    let now = app.clock.now();
    let live = app.live();
    let issuer = live.ca.active(now).map(|issuer| issuer.id().to_owned()).unwrap_or_default();
    if app.own().is_some_and(|own| now < own.renew_at && own.issuer == issuer) {
        app.vigil.own_renewed();
        return;
    }
    if let Err(error) = issue(app).await {
        app.vigil.own_failed(&format!("{error:#}"), now);
        tracing::error!(
            error = format!("{error:#}"),
            "the server's own certificate could not be renewed; tried again"
        );
    }
}

/// Issues the certificate and puts it in place.
///
/// # Errors
/// What [`issuance::issue_own`] says.
pub async fn issue(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    let live = app.live();
    let lifetime = live.config.policy.profiles.get(policy::DEFAULT_PROFILE).map_or(LONGEST, |p| p.lifetime);
    let pair = KeyPair::generate().context("making the server's own key")?;
    let spki = pair.subject_public_key_info();
    let issued =
        issuance::issue_own(&app.host, &spki, lifetime.min(LONGEST), &live.ca, &app.store, now).await?;
    let issuer = live.ca.active(now)?;
    let mut chain = vec![CertificateDer::from(issued.der)];
    for above in CertificateDer::pem_slice_iter(issuer.chain_pem().as_bytes()) {
        chain.push(above.context("the issuer's chain")?);
    }
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    let key = any_supported_type(&key).context("the server's own key")?;
    let half = Duration::from_secs(issued.not_after.seconds_since(now).unsigned_abs() / 2);
    app.set_own(Own {
        key: Arc::new(CertifiedKey::new(chain, key)),
        serial: issued.serial,
        not_before: now,
        renew_at: now.plus(half),
        not_after: issued.not_after,
        issuer: issuer.id().to_owned(),
    });
    app.vigil.own_renewed();
    Ok(())
}

/// The longest life of the server's own certificate, whatever the profile says.
const LONGEST: Duration = Duration::from_secs(90 * 86_400);
