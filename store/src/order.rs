//! Orders, RFC 8555 7.1.3 and 7.4, from their making to their end. The changes that end an order with a certificate are
//! in [`crate::issuance`].
//!
//! `ready` is never kept: `acme::order::order_status` derives it. A row that is `processing` is the work list of the
//! issuance: what a crash leaves there is taken up again.

use acme::challenge::Type;
use acme::id::{AccountId, AuthorizationId, OrderId, Serial};
use acme::identifier::{Identifier, Wire};
use acme::order::OrderStatus;
use acme::problem::Problem;
use acme::renewal_info::CertificateId;
use acme::time::Timestamp;

use crate::audit::AuditEvent;
use crate::authorization::{self, Authorization, authz_columns};
use crate::error::Error;
use crate::script::{Script, Values, statement};
use crate::sql::{Columns, Record, first_id, json, json_or_null, one, rows};
use crate::store::Store;
use crate::write::{Change, Tx};

macro_rules! columns {
    () => {
        "o.id, o.account_id, o.status, o.identifiers, o.names, o.profile, o.not_before, o.not_after, \
         o.created_at, o.expires_at, o.error, o.serial, o.csr, o.replaces"
    };
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its name, the end of its URL.
    pub id: OrderId,
    /// Whose it is.
    pub account: AccountId,
    /// What is kept, which is never `ready`; see `acme::order::order_status` for what follows from it.
    pub status: OrderStatus,
    /// The identifiers exactly as the client sent them: clients compare.
    pub identifiers: Vec<Wire>,
    /// The same as `acme::identifier::name_set`: the key by which certificates find each other.
    pub names: String,
    /// The profile that was asked for.
    pub profile: Option<String>,
    /// The beginning that was asked for.
    pub not_before: Option<Timestamp>,
    /// The end that was asked for.
    pub not_after: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is over. With a certificate it lasts as long as that.
    pub expires_at: Timestamp,
    /// Why it is `invalid`.
    pub error: Option<Problem>,
    /// Its certificate, when it is `valid`.
    pub serial: Option<Serial>,
    /// The certificate request in DER, while it is `processing`.
    pub csr: Option<Vec<u8>>,
    /// The certificate that it is to replace (RFC 9773 5).
    pub replaces: Option<CertificateId>,
}

impl Order {
    /// What was asked for, in canonical form.
    ///
    /// # Errors
    /// `malformed`, for a row that a stricter program would not have made.
    pub fn canonical(&self) -> Result<Vec<Identifier>, Problem> {
        self.identifiers.iter().map(Identifier::parse).collect()
    }
}

/// An order as finalize needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToFinalize {
    /// The order.
    pub order: Order,
    /// All its authorizations, in the order in which they are shown.
    pub authorizations: Vec<Authorization>,
    /// The account whose key is to be on the certificate, if there is one, in whatever state.
    pub key_of: Option<AccountId>,
}

/// Makes an order with its authorizations. Where one of the account's holds already for the same name, that one serves in
/// the place of the new one, which is not made; the order is then over when the first of them is. A crash after it leaves
/// an order whose client never learned of it; it runs out and is pruned. A conflict: the account is not valid (any more).
#[derive(Clone, Debug)]
pub struct CreateOrder {
    /// The order.
    pub order: Order,
    /// The authorizations that are made with it.
    pub authorizations: Vec<Authorization>,
    /// All authorizations that it needs, in the order in which they are shown.
    pub links: Vec<AuthorizationId>,
    /// Which of the account's authorizations may serve in the place of new ones.
    pub reuse: Option<Reuse>,
}

/// Which authorizations may serve another order.
#[derive(Clone, Debug)]
pub struct Reuse {
    /// Those that were shown after this.
    pub validated_after: Timestamp,
    /// Those that hold beyond this.
    pub expires_after: Timestamp,
    /// Those that were shown by one of these.
    pub by: Vec<Type>,
}

impl Change for CreateOrder {
    /// Those that serve in the place of new ones.
    type Outcome = Vec<Authorization>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<Authorization>, Error> {
        let order = &self.order;
        let mut script = Script::default();
        statement!(
            script,
            "INSERT INTO orders (id, account_id, status, identifiers, names, profile, not_before, not_after,
                                 created_at, expires_at, error, serial, csr, replaces)
             SELECT $1, id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14
             FROM account WHERE id = $2 AND status = 'valid'",
            order.id.as_str(),
            order.account.as_str(),
            order.status.as_str(),
            json(&order.identifiers)?,
            order.names.as_str(),
            order.profile.as_deref(),
            order.not_before.map(Timestamp::unix),
            order.not_after.map(Timestamp::unix),
            order.created_at.unix(),
            order.expires_at.unix(),
            json_or_null(order.error.as_ref())?,
            order.serial.as_ref().map(Serial::as_str),
            order.csr.as_deref(),
            order.replaces.as_ref().map(CertificateId::as_str),
        );
        authorization::insert(&mut script, &self.authorizations)?;
        match &self.reuse {
            Some(reuse) => link_held(&mut script, self, reuse),
            None => link(&mut script, &order.id, &self.links),
        }
        let (done, held) = tx.run_reading::<Authorization>(script).await?;
        one(done.of(0), || Error::conflict("account", &order.account, "valid"))?;
        let Some(first_end) = held.iter().map(|held| held.expires_at).min() else { return Ok(held) };
        let unused = self.authorizations.iter().filter(|new| held.iter().any(|held| held.serves_for(new)));
        let mut script = Script::default();
        for new in unused {
            statement!(script, "DELETE FROM authz WHERE id = $1", new.id.as_str());
        }
        if first_end < order.expires_at {
            let sql = "UPDATE orders SET expires_at = $2 WHERE id = $1";
            statement!(script, sql, order.id.as_str(), first_end.unix());
        }
        tx.run(script).await?;
        Ok(held)
    }
}

/// Ends an order that cannot have its certificate, and abandons its intent. A crash after it leaves an order that is
/// `invalid` for good, and no intent. A conflict: it has ended already.
#[derive(Clone, Debug)]
pub struct FailOrder {
    /// Which order.
    pub order: OrderId,
    /// Why.
    pub problem: Problem,
    /// What the trail says.
    pub audit: AuditEvent,
}

impl Change for FailOrder {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let mut script = Script::default();
        statement!(
            script,
            "UPDATE orders SET status = 'invalid', error = $2, csr = NULL
             WHERE id = $1 AND status IN ('pending', 'processing')",
            self.order.as_str(),
            json(&self.problem)?,
        );
        statement!(
            script,
            "UPDATE certificate SET status = 'abandoned', tbs = NULL
             WHERE order_id = $1 AND status = 'intended'
               AND EXISTS (SELECT 1 FROM orders WHERE id = $1 AND status = 'invalid')",
            self.order.as_str(),
        );
        let done = tx.run(script).await?;
        one(done.of(0), || Error::conflict("order", &self.order, "pending or processing"))?;
        tx.record(&self.audit);
        Ok(())
    }
}

impl Store {
    /// The order with this id and all its authorizations, in the order in which they are shown; one read.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn order_with_authorizations(
        &self,
        id: &OrderId,
    ) -> Result<Option<(Order, Vec<Authorization>)>, Error> {
        let rows: Result<Vec<Joined>, Error> = rows!(self, Joined, ONE, id.as_str());
        Ok(gather(rows?).pop())
    }

    /// The same for finalize, and in the same read the account whose key has this RFC 7638 thumbprint, whoever it is: a
    /// certificate must not be for the key of an account (RFC 8555 11.1).
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn order_to_finalize(
        &self,
        id: &OrderId,
        thumbprint: &str,
    ) -> Result<Option<ToFinalize>, Error> {
        let rows: Result<Vec<WithKey>, Error> = rows!(self, WithKey, TO_FINALIZE, id.as_str(), thumbprint);
        let rows = rows?;
        let key_of = rows.first().and_then(|row| row.key_of.clone());
        let order = gather(rows.into_iter().map(|row| row.joined).collect()).pop();
        Ok(order.map(|(order, authorizations)| ToFinalize { order, authorizations, key_of }))
    }

    /// Orders of an account, oldest first, after the order `after` in a list that was begun (RFC 8555 7.1.2.1).
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn orders_of_account(
        &self,
        account: &AccountId,
        after: Option<&OrderId>,
        limit: u32,
    ) -> Result<Vec<Order>, Error> {
        let after = after.map_or("", OrderId::as_str);
        rows!(self, Order, OF_ACCOUNT, account.as_str(), after, i64::from(limit))
    }

    /// Orders that were made since, newest first.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn orders(&self, since: Timestamp, limit: u32) -> Result<Vec<Order>, Error> {
        rows!(self, Order, SINCE, first_id(since), i64::from(limit))
    }

    /// The same, each with all its authorizations.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn orders_with_authorizations(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Order, Vec<Authorization>)>, Error> {
        let rows: Result<Vec<Joined>, Error> = rows!(self, Joined, WHOLE, first_id(since), i64::from(limit));
        Ok(gather(rows?))
    }

    /// Orders that were made since and are `invalid`, newest first, each with its authorizations that failed.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn failed_orders(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Order, Vec<Authorization>)>, Error> {
        let rows: Result<Vec<Joined>, Error> = rows!(self, Joined, FAILED, first_id(since), i64::from(limit));
        Ok(gather(rows?))
    }

    /// Orders that are `processing`, oldest first: what a restarted issuance takes up.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn processing_orders(&self, limit: u32) -> Result<Vec<Order>, Error> {
        rows!(self, Order, PROCESSING, i64::from(limit))
    }
}

macro_rules! one_order {
    ($more:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", ",
            authz_columns!(),
            $more,
            " FROM orders o LEFT JOIN order_authz l ON l.order_id = o.id \
             LEFT JOIN authz a ON a.id = l.authz_id WHERE o.id = $1 ORDER BY l.position"
        )
    };
}

pub(crate) const ONE: &str = one_order!("");

pub(crate) const TO_FINALIZE: &str =
    one_order!(", (SELECT k.id FROM account k WHERE k.thumbprint = $2) AS key_of");

pub(crate) const OF_ACCOUNT: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM orders o WHERE o.account_id = $1 AND o.id > $2 ORDER BY o.id LIMIT $3"
);

pub(crate) const SINCE: &str =
    concat!("SELECT ", columns!(), " FROM orders o WHERE o.id >= $1 ORDER BY o.id DESC LIMIT $2");

/// The newest orders of some kind, each with its authorizations of some kind.
macro_rules! newest {
    ($orders:literal, $authorizations:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", ",
            authz_columns!(),
            " FROM (SELECT * FROM orders WHERE ",
            $orders,
            " AND id >= $1 ORDER BY id DESC LIMIT $2) o LEFT JOIN order_authz l ON l.order_id = o.id \
             LEFT JOIN authz a ON a.id = l.authz_id AND ",
            $authorizations,
            " ORDER BY o.id DESC, l.position"
        )
    };
}

pub(crate) const WHOLE: &str = newest!("TRUE", "TRUE");

pub(crate) const FAILED: &str = newest!("status = 'invalid'", "a.status = 'invalid'");

pub(crate) const PROCESSING: &str =
    concat!("SELECT ", columns!(), " FROM orders o WHERE o.status = 'processing' ORDER BY o.id LIMIT $1");

/// Says which authorizations an order needs, all in one statement.
fn link(script: &mut Script, order: &OrderId, links: &[AuthorizationId]) {
    let rows = (0_i64..).zip(links).map(|(position, authorization)| {
        [order.as_str().into(), position.into(), authorization.as_str().into()]
    });
    script.add_rows("INSERT INTO order_authz (order_id, position, authz_id)", rows);
}

/// The same, with what holds already in the place of what is new. Ends in reading what holds.
fn link_held(script: &mut Script, change: &CreateOrder, reuse: &Reuse) {
    let order = change.order.id.as_str();
    let mut values = Values(vec![
        order.into(),
        change.order.account.as_str().into(),
        reuse.validated_after.unix().into(),
        reuse.expires_after.unix().into(),
    ]);
    let by = values.list(reuse.by.iter().map(|by| by.as_str().into()));
    let rows = values.rows((0_i64..).zip(&change.authorizations).map(|(position, new)| {
        [
            position.into(),
            new.id.as_str().into(),
            new.identifier.kind().into(),
            new.identifier.to_string().into(),
            new.wildcard.into(),
        ]
    }));
    script.add(LINK_HELD.replace("SHOWN", &by).replace("ROWS", &rows), values.0);
    script.read(HELD, vec![order.into()]);
}

/// `SHOWN` stands for the challenges, `ROWS` for the new authorizations: position, id, type, value and wildcard.
pub(crate) const LINK_HELD: &str = "INSERT INTO order_authz (order_id, position, authz_id)
    SELECT $1, n.column1, COALESCE((
        SELECT b.id FROM authz b
        WHERE b.account_id = $2 AND b.status = 'valid' AND b.identifier_value = n.column4
          AND b.expires_at > $4 AND b.validated_at > $3 AND b.attempted IN (SHOWN)
          AND b.identifier_type = n.column3 AND b.wildcard = n.column5
        ORDER BY b.expires_at DESC LIMIT 1), n.column2)
    FROM (VALUES ROWS) AS n";

const HELD: &str = concat!(
    "SELECT ",
    authz_columns!(),
    " FROM order_authz l JOIN authz a ON a.id = l.authz_id
     WHERE l.order_id = $1 AND a.status = 'valid' ORDER BY l.position"
);

/// A row of a join: an order with one of its authorizations, or with none.
struct Joined(Order, Option<Authorization>);

/// The same with the account of a key.
struct WithKey {
    joined: Joined,
    key_of: Option<AccountId>,
}

/// Puts the rows of a join together that belong to one order; they lie together.
fn gather(rows: Vec<Joined>) -> Vec<(Order, Vec<Authorization>)> {
    let mut orders: Vec<(Order, Vec<Authorization>)> = Vec::new();
    for Joined(order, authorization) in rows {
        match orders.last_mut() {
            Some((last, authorizations)) if last.id == order.id => authorizations.extend(authorization),
            _ => orders.push((order, authorization.into_iter().collect())),
        }
    }
    orders
}

impl Record for Order {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            id: row.word("id", OrderId::parse)?,
            account: row.word("account_id", AccountId::parse)?,
            status: row.word("status", OrderStatus::parse)?,
            identifiers: row.json("identifiers")?,
            names: row.string("names")?,
            profile: row.string_or_null("profile")?,
            not_before: row.time_or_null("not_before")?,
            not_after: row.time_or_null("not_after")?,
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
            error: row.json_or_null("error")?,
            serial: row.word_or_null("serial", Serial::parse)?,
            csr: row.bytes_or_null("csr")?,
            replaces: row.word_or_null("replaces", |text| CertificateId::parse(text).ok())?,
        })
    }
}

impl Record for Joined {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        let has_one = row.text_or_null("a_id")?.is_some();
        Ok(Self(Order::read(row)?, has_one.then(|| Authorization::read(row)).transpose()?))
    }
}

impl Record for WithKey {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self { joined: Joined::read(row)?, key_of: row.word_or_null("key_of", AccountId::parse)? })
    }
}
