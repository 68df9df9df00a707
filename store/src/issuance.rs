//! How a certificate comes to be: first an intent, then the certificate. The serial and the to-be-signed bytes are kept
//! before the key is used, and the certificate with the order's end and the trail's row in one commit after it. So there
//! is never a certificate that the store does not know, and never two for one order.

use acme::attention::fresh_until;
use acme::id::{AccountId, OrderId, Serial};
use acme::renewal_info::CertificateId;
use acme::time::Timestamp;

use crate::audit::AuditEvent;
use crate::certificate::{Certificate, Issuer, Purpose};
use crate::error::Error;
use crate::renewal_info::supersede;
use crate::script::{Script, statement};
use crate::sql::{execute, one};
use crate::write::{Change, Tx};

/// Keeps an issuer, unless it is kept already. A crash after it leaves an issuer without certificates.
#[derive(Clone, Debug)]
pub struct PutIssuer {
    /// The issuer.
    pub issuer: Issuer,
}

impl Change for PutIssuer {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        execute!(
            tx,
            "INSERT INTO issuer (id, certificate, chain, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (id) DO NOTHING",
            self.issuer.id.as_str(),
            self.issuer.certificate.as_slice(),
            self.issuer.chain.as_str(),
            self.issuer.created_at.unix(),
        )?;
        Ok(())
    }
}

/// Writes down what is about to be signed. The order turns `processing`, for which it must be `pending` with all its
/// authorizations valid at the certificate's `created_at`, and its key that of no account; or, when it is taken up again, it is `processing` without an
/// intent. A crash after it leaves an intent of which nobody knows whether it was signed: start-up abandons it and takes
/// the order up.
#[derive(Clone, Debug)]
pub struct Intend {
    /// The certificate request in DER, for the order to be taken up after a crash. None for our own certificates.
    pub csr: Option<Vec<u8>>,
    /// The RFC 7638 thumbprint of the certificate's key, which must not be that of an account (RFC 8555 11.1). None for our
    /// own certificates; an order that is taken up again was judged before.
    pub thumbprint: Option<String>,
    /// The intent, with its order (unless it is our own) and its to-be-signed bytes.
    pub certificate: Certificate,
    /// What the trail says.
    pub audit: AuditEvent,
}

impl Change for Intend {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let c = &self.certificate;
        let mut script = Script::default();
        if let Some(order) = &c.order {
            let (csr, thumbprint) = (self.csr.as_deref(), self.thumbprint.as_deref());
            statement!(script, INTEND, order.as_str(), csr, c.created_at.unix(), thumbprint);
        }
        let intent = script.len();
        statement!(
            script,
            PUT,
            c.serial.as_str(),
            c.order.as_ref().map(OrderId::as_str),
            c.account.as_ref().map(AccountId::as_str),
            c.purpose.as_str(),
            c.names.as_str(),
            c.issuer.as_str(),
            c.spki.as_slice(),
            c.tbs.as_deref(),
            c.not_before.unix(),
            c.not_after.unix(),
            c.created_at.unix(),
            fresh_until(&c.facts()).unix(),
        );
        let done = tx.run(script).await?;
        if let Some(order) = &c.order {
            one(done.of(0), || Error::conflict("order", order, "ready, or processing without an intent"))?;
        }
        one(done.of(intent), || Error::conflict("certificate", &c.serial, "the only intent of its order"))?;
        tx.record(&self.audit);
        Ok(())
    }
}

pub(crate) const INTEND: &str = "UPDATE orders SET status = 'processing', csr = COALESCE($2, csr)
                 WHERE id = $1 AND (
                     status = 'pending' AND expires_at > $3 AND NOT EXISTS (
                         SELECT 1 FROM order_authz l JOIN authz a ON a.id = l.authz_id
                         WHERE l.order_id = $1 AND (a.status <> 'valid' OR a.expires_at <= $3))
                     AND NOT EXISTS (SELECT 1 FROM account WHERE thumbprint = $4)
                     OR status = 'processing' AND NOT EXISTS (
                         SELECT 1 FROM certificate WHERE order_id = $1 AND status = 'intended'))";

/// With the current certificate of its names it also learns how often their client comes and polls: if it comes every day,
/// two days without it are worth a look long before the certificate is due.
pub(crate) const PUT: &str =
    "INSERT INTO certificate (serial, order_id, account_id, purpose, names, issuer, spki, status, tbs,
                              not_before, not_after, created_at, fresh_until, attention_at, polled_every)
     SELECT $1, $2, $3, $4, $5, $6, $7, 'intended', $8, $9, $10, $11, w.fresh,
            CASE WHEN w.silent < w.fresh THEN w.silent ELSE w.fresh END, w.every
     FROM (SELECT l.every,
                  CASE WHEN l.came >= 3600 AND $11 + 2 * l.came < $12 THEN $11 + 2 * l.came ELSE $12 END AS fresh,
                  $11 + CASE WHEN 3 * l.every < 129600 THEN 129600 ELSE 3 * l.every END AS silent
           FROM (SELECT MAX(c.polled_every) AS every, $11 - MAX(c.issued_at) AS came
                 FROM certificate c
                 WHERE c.names = $5 AND c.purpose = $4 AND c.status = 'issued' AND c.superseded_by IS NULL) l) w
     WHERE $4 = 'server' OR EXISTS (SELECT 1 FROM orders WHERE id = $2 AND status = 'processing')
     ON CONFLICT (order_id) WHERE status = 'intended' DO NOTHING";

/// Keeps the certificate that was signed: the intent turns `issued`, its order `valid` for as long as the certificate
/// holds, and earlier certificates for the same names and purpose, and the one that the order names, are superseded. A crash after it leaves a certificate
/// that its client fetches when it asks again.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Which intent.
    pub serial: Serial,
    /// The certificate.
    pub der: Vec<u8>,
    /// The order of the intent; none for our own certificates.
    pub order: Option<OrderId>,
    /// The names of the intent.
    pub names: String,
    /// The certificate that the order named as its predecessor; it is superseded whatever its names.
    pub replaces: Option<CertificateId>,
    /// The end of the certificate.
    pub not_after: Timestamp,
    /// When it was signed.
    pub now: Timestamp,
    /// What the trail says.
    pub audit: AuditEvent,
}

impl Change for Issued {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let mut script = Script::default();
        statement!(
            script,
            "UPDATE certificate SET status = 'issued', tbs = NULL, der = $2, issued_at = $3
             WHERE serial = $1 AND status = 'intended'",
            self.serial.as_str(),
            self.der.as_slice(),
            self.now.unix(),
        );
        let purpose = if self.order.is_some() { Purpose::Acme } else { Purpose::Server };
        if let Some(order) = &self.order {
            statement!(
                script,
                "UPDATE orders SET status = 'valid', serial = $2, csr = NULL, expires_at = $3
                 WHERE id = $1 AND status = 'processing'",
                order.as_str(),
                self.serial.as_str(),
                self.not_after.unix(),
            );
        }
        // Last: a statement that changes nothing ends a script.
        supersede(&mut script, &self.serial, &self.names, purpose.as_str(), self.replaces.as_ref());
        let done = tx.run(script).await?;
        one(done.of(0), || Error::conflict("certificate", &self.serial, "intended"))?;
        if let Some(order) = &self.order {
            one(done.of(1), || Error::conflict("order", order, "processing"))?;
        }
        tx.record(&self.audit);
        Ok(())
    }
}

/// Gives up an intent of which nobody knows whether it was signed. Its order stays `processing`, so that it is tried
/// anew with a new serial. A crash after it leaves just that.
#[derive(Clone, Debug)]
pub struct Abandon {
    /// Which intent.
    pub serial: Serial,
    /// What the trail says.
    pub audit: AuditEvent,
}

impl Change for Abandon {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let changed = execute!(
            tx,
            "UPDATE certificate SET status = 'abandoned', tbs = NULL WHERE serial = $1 AND status = 'intended'",
            self.serial.as_str(),
        )?;
        one(changed, || Error::conflict("certificate", &self.serial, "intended"))?;
        tx.record(&self.audit);
        Ok(())
    }
}
