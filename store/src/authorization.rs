//! Authorizations, RFC 8555 7.1.4 and 7.5. One row holds an authorization with its one token and the challenge that its
//! client chose; the states of its challenges follow from it (see `acme::order`).
//!
//! A row that is `pending` with a chosen challenge is the work list of the validator: what a crash leaves there is
//! taken up again.

use acme::challenge::{Token, Type};
use acme::failure::{Evidence, Failure};
use acme::id::{AccountId, AuthorizationId, OrderId};
use acme::identifier::{Identifier, Wire};
use acme::order::AuthorizationStatus;
use acme::problem::Problem;
use acme::time::Timestamp;

use crate::account::{self, Account};
use crate::audit::AuditEvent;
use crate::error::Error;
use crate::script::{Script, Values, query};
use crate::sql::{Columns, Record, execute, find, json, json_or_null, one, row, rows};
use crate::store::Store;
use crate::write::{Change, Tx};

/// The columns of `authz a`, under names that collide with no other table's in a join.
macro_rules! authz_columns {
    () => {
        "a.id AS a_id, a.account_id AS a_account_id, a.order_id AS a_order_id, \
         a.identifier_type AS a_identifier_type, a.identifier_value AS a_identifier_value, \
         a.wildcard AS a_wildcard, a.status AS a_status, a.token AS a_token, a.challenges AS a_challenges, \
         a.attempted AS a_attempted, a.attempted_at AS a_attempted_at, a.validated_at AS a_validated_at, \
         a.created_at AS a_created_at, a.expires_at AS a_expires_at, a.error AS a_error, a.evidence AS a_evidence"
    };
}
pub(crate) use authz_columns;

/// An authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Its name, the end of its URL.
    pub id: AuthorizationId,
    /// Whose it is.
    pub account: AccountId,
    /// The order that made it; later ones may use it too. None for one of newAuthz (RFC 8555 7.4.1).
    pub order: Option<OrderId>,
    /// What it is for: the name without `*.`.
    pub identifier: Identifier,
    /// Whether it is for the wildcard of that name.
    pub wildcard: bool,
    /// What is kept; see `acme::order::authorization_status` for what time makes of it.
    pub status: AuthorizationStatus,
    /// The token of all its challenges.
    pub token: Token,
    /// The challenges that are offered.
    pub challenges: Vec<Type>,
    /// The challenge that the client chose.
    pub attempted: Option<Type>,
    /// When it chose.
    pub attempted_at: Option<Timestamp>,
    /// When the challenge was met.
    pub validated_at: Option<Timestamp>,
    /// When the authorization was made.
    pub created_at: Timestamp,
    /// When it is over.
    pub expires_at: Timestamp,
    /// Why the last attempt failed, while none has succeeded.
    pub error: Option<Failure>,
    /// What the attempt that succeeded saw.
    pub evidence: Option<Evidence>,
}

impl Authorization {
    /// Whether it is for the same as another one, wildcard or not.
    pub fn serves_for(&self, other: &Self) -> bool {
        self.identifier == other.identifier && self.wildcard == other.wildcard
    }
}

/// Makes an authorization for no order yet (RFC 8555 7.4.1). A crash after it leaves one whose client never learned of it;
/// it runs out and is pruned. A conflict: the account is not valid (any more).
#[derive(Clone, Debug)]
pub struct CreateAuthorization {
    /// The authorization.
    pub authorization: Authorization,
}

impl Change for CreateAuthorization {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let account = &self.authorization.account;
        let found = find!(tx, Account, account::VALID, account.as_str())?;
        found.ok_or_else(|| Error::conflict("account", account, "valid"))?;
        let mut script = Script::default();
        insert(&mut script, std::slice::from_ref(&self.authorization))?;
        tx.run(script).await.map(|_| ())
    }
}

/// Writes down which challenge the client chose. A crash after it leaves a challenge that is `processing`, which
/// start-up takes up. A conflict: it was chosen before, or the authorization has ended or run out.
#[derive(Clone, Debug)]
pub struct AcceptChallenge {
    /// Which authorization.
    pub authorization: AuthorizationId,
    /// Which of its challenges.
    pub challenge: Type,
    /// The RFC 7638 thumbprint of the key that its account had then (RFC 8555 8.3).
    pub thumbprint: String,
    /// When.
    pub now: Timestamp,
}

impl Change for AcceptChallenge {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let changed = execute!(
            tx,
            "UPDATE authz SET attempted = $2, attempted_at = $3, attempted_by = $4
             WHERE id = $1 AND status = 'pending' AND attempted IS NULL AND expires_at > $3",
            self.authorization.as_str(),
            self.challenge.as_str(),
            self.now.unix(),
            self.thumbprint.as_str(),
        )?;
        one(changed, || Error::conflict("authorization", &self.authorization, "pending without an attempt"))
    }
}

/// Writes down why an attempt failed that will be made again. It also says which challenge was chosen, in case that is
/// not kept yet. A crash after it leaves a challenge that is `processing`.
#[derive(Clone, Debug)]
pub struct RecordAttempt {
    /// Which authorization.
    pub authorization: AuthorizationId,
    /// Which of its challenges.
    pub challenge: Type,
    /// The RFC 7638 thumbprint of the key that its account had when the client chose it.
    pub thumbprint: String,
    /// When the client chose it.
    pub attempted_at: Timestamp,
    /// Why the attempt failed.
    pub failure: Failure,
}

impl Change for RecordAttempt {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let changed = execute!(
            tx,
            "UPDATE authz SET attempted = $2, attempted_at = COALESCE(attempted_at, $3), error = $4,
                    attempted_by = COALESCE(attempted_by, $5)
             WHERE id = $1 AND status = 'pending' AND (attempted = $2 OR attempted IS NULL AND expires_at > $3)",
            self.authorization.as_str(),
            self.challenge.as_str(),
            self.attempted_at.unix(),
            json(&self.failure)?,
            self.thumbprint.as_str(),
        )?;
        one(changed, || Error::conflict("authorization", &self.authorization, "pending with this challenge"))
    }
}

/// What a validation came to.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The challenge was met.
    Valid {
        /// What was seen.
        evidence: Evidence,
        /// When.
        validated_at: Timestamp,
        /// How long it holds.
        expires_at: Timestamp,
    },
    /// It was not, and there will be no other attempt.
    Invalid {
        /// Why.
        failure: Failure,
        /// What the orders are told that needed it.
        problem: Problem,
    },
}

/// Ends a validation, and with a failure also every order that waits for it. It says which challenge was chosen, in
/// case that is not kept yet: so a validation that ends within its request is one commit. A crash after it leaves an
/// authorization that has ended, and no order that waits for one that failed. A conflict: it has ended before, by another
/// challenge or by time; what has run out can still fail, but does not become valid (RFC 8555 7.1.6).
#[derive(Clone, Debug)]
pub struct Validated {
    /// Which authorization.
    pub authorization: AuthorizationId,
    /// Which of its challenges.
    pub challenge: Type,
    /// When the client chose it.
    pub attempted_at: Timestamp,
    /// What it came to.
    pub verdict: Verdict,
    /// What the trail says.
    pub audit: AuditEvent,
}

impl Change for Validated {
    /// How many orders ended with it.
    type Outcome = u64;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<u64, Error> {
        let changed = match &self.verdict {
            Verdict::Valid { evidence, validated_at, expires_at } => execute!(
                tx,
                "UPDATE authz
                 SET status = 'valid', attempted = $2, attempted_at = COALESCE(attempted_at, $3),
                     validated_at = $4, expires_at = $5, evidence = $6, error = NULL
                 WHERE id = $1 AND status = 'pending' AND (attempted IS NULL OR attempted = $2) AND expires_at > $4",
                self.authorization.as_str(),
                self.challenge.as_str(),
                self.attempted_at.unix(),
                validated_at.unix(),
                expires_at.unix(),
                json(evidence)?,
            )?,
            Verdict::Invalid { failure, .. } => execute!(
                tx,
                "UPDATE authz
                 SET status = 'invalid', attempted = $2, attempted_at = COALESCE(attempted_at, $3), error = $4
                 WHERE id = $1 AND status = 'pending' AND (attempted = $2 OR attempted IS NULL AND expires_at > $3)",
                self.authorization.as_str(),
                self.challenge.as_str(),
                self.attempted_at.unix(),
                json(failure)?,
            )?,
        };
        one(changed, || {
            Error::conflict("authorization", &self.authorization, "pending with this challenge")
        })?;
        let ended = match &self.verdict {
            Verdict::Valid { .. } => 0,
            Verdict::Invalid { problem, .. } => fail_orders(tx, &self.authorization, problem).await?,
        };
        tx.record(&self.audit);
        Ok(ended)
    }
}

/// Gives an authorization up at its owner's wish (RFC 8555 7.5.2), and with it the orders that wait for it. A crash
/// after it leaves both given up.
#[derive(Clone, Debug)]
pub struct DeactivateAuthorization {
    /// Which authorization.
    pub authorization: AuthorizationId,
    /// What the orders are told that needed it.
    pub problem: Problem,
    /// What the trail says.
    pub audit: AuditEvent,
}

impl Change for DeactivateAuthorization {
    /// How many orders ended with it.
    type Outcome = u64;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<u64, Error> {
        let changed = execute!(
            tx,
            "UPDATE authz SET status = 'deactivated'
             WHERE id = $1 AND status IN ('pending', 'valid') AND expires_at > $2",
            self.authorization.as_str(),
            self.audit.at.unix(),
        )?;
        one(changed, || Error::conflict("authorization", &self.authorization, "pending or valid"))?;
        let ended = fail_orders(tx, &self.authorization, &self.problem).await?;
        tx.record(&self.audit);
        Ok(ended)
    }
}

impl Store {
    /// The authorization with this id.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn authorization(&self, id: &AuthorizationId) -> Result<Option<Authorization>, Error> {
        row!(
            self,
            Authorization,
            concat!("SELECT ", authz_columns!(), " FROM authz a WHERE a.id = $1"),
            id.as_str()
        )
    }

    /// The authorizations of an account that hold at `now` for any of these names (with whether the wildcard is meant),
    /// for each name the one that holds longest: a later order may use them.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn valid_authorizations(
        &self,
        account: &AccountId,
        names: &[(Identifier, bool)],
        now: Timestamp,
    ) -> Result<Vec<Authorization>, Error> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut values = Values(vec![account.as_str().into(), now.unix().into()]);
        let rows = values.rows(names.iter().map(|(identifier, wildcard)| {
            [identifier.kind().into(), identifier.to_string().into(), (*wildcard).into()]
        }));
        query(self, VALID.replace("ROWS", &rows), values.0).await
    }

    /// Authorizations whose challenge was chosen and is not decided, oldest first: what a restarted validator takes up.
    /// Each with the RFC 7638 thumbprint of the key that its account had when it was chosen.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn processing_authorizations(&self, limit: u32) -> Result<Vec<(Authorization, String)>, Error> {
        rows!(self, (Authorization, String), PROCESSING, i64::from(limit))
    }
}

/// `ROWS` stands for the names, as rows of type, value and wildcard.
pub(crate) const VALID: &str = concat!(
    "SELECT ",
    authz_columns!(),
    " FROM authz a WHERE a.id IN (
         SELECT (SELECT b.id FROM authz b
                 WHERE b.account_id = $1 AND b.status = 'valid' AND b.identifier_value = n.column2
                   AND b.expires_at > $2 AND b.identifier_type = n.column1 AND b.wildcard = n.column3
                 ORDER BY b.expires_at DESC LIMIT 1)
         FROM (VALUES ROWS) AS n)"
);

pub(crate) const PROCESSING: &str = concat!(
    "SELECT ",
    authz_columns!(),
    ", COALESCE(a.attempted_by, k.thumbprint) AS thumbprint FROM authz a JOIN account k ON k.id = a.account_id
     WHERE a.status = 'pending' AND a.attempted IS NOT NULL ORDER BY a.id LIMIT $1"
);

/// Ends the orders that wait for an authorization which cannot become valid any more; how many there were.
async fn fail_orders(tx: &mut Tx<'_>, id: &AuthorizationId, problem: &Problem) -> Result<u64, Error> {
    execute!(
        tx,
        "UPDATE orders SET status = 'invalid', error = $2
         WHERE status = 'pending' AND id IN (SELECT order_id FROM order_authz WHERE authz_id = $1)",
        id.as_str(),
        json(problem)?,
    )
}

/// Puts new authorizations in, all in one statement.
pub(crate) fn insert(script: &mut Script, authorizations: &[Authorization]) -> Result<(), Error> {
    let mut rows = Vec::with_capacity(authorizations.len());
    for a in authorizations {
        rows.push([
            a.id.as_str().into(),
            a.account.as_str().into(),
            a.order.as_ref().map_or("", OrderId::as_str).into(),
            a.identifier.kind().into(),
            a.identifier.to_string().into(),
            a.wildcard.into(),
            a.status.as_str().into(),
            a.token.as_str().into(),
            words(&a.challenges).into(),
            a.attempted.map(Type::as_str).into(),
            a.attempted_at.map(Timestamp::unix).into(),
            a.validated_at.map(Timestamp::unix).into(),
            a.created_at.unix().into(),
            a.expires_at.unix().into(),
            json_or_null(a.error.as_ref())?.into(),
            json_or_null(a.evidence.as_ref())?.into(),
        ]);
    }
    script.add_rows(INSERT, rows);
    Ok(())
}

const INSERT: &str = "INSERT INTO authz (id, account_id, order_id, identifier_type, identifier_value, wildcard, \
                      status, token, challenges, attempted, attempted_at, validated_at, created_at, expires_at, \
                      error, evidence)";

fn words(challenges: &[Type]) -> String {
    challenges.iter().map(|challenge| challenge.as_str()).collect::<Vec<_>>().join(",")
}

fn challenges(words: &str) -> Option<Vec<Type>> {
    words.split(',').filter(|word| !word.is_empty()).map(Type::parse).collect()
}

impl Record for Authorization {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        let identifier =
            Wire { kind: row.string("a_identifier_type")?, value: row.string("a_identifier_value")? };
        Ok(Self {
            id: row.word("a_id", AuthorizationId::parse)?,
            account: row.word("a_account_id", AccountId::parse)?,
            order: Some(row.text("a_order_id")?)
                .filter(|id| !id.is_empty())
                .map(|id| OrderId::parse(id).ok_or_else(|| Error::column("order_id", "no id of ours")))
                .transpose()?,
            identifier: Identifier::parse(&identifier)
                .map_err(|problem| Error::column("identifier_value", problem.detail))?,
            wildcard: row.flag("a_wildcard")?,
            status: row.word("a_status", AuthorizationStatus::parse)?,
            token: Token::from_row(row.string("a_token")?),
            challenges: row.word("a_challenges", challenges)?,
            attempted: row.word_or_null("a_attempted", Type::parse)?,
            attempted_at: row.time_or_null("a_attempted_at")?,
            validated_at: row.time_or_null("a_validated_at")?,
            created_at: row.time("a_created_at")?,
            expires_at: row.time("a_expires_at")?,
            error: row.json_or_null("a_error")?,
            evidence: row.json_or_null("a_evidence")?,
        })
    }
}

impl Record for (Authorization, String) {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok((Authorization::read(row)?, row.string("thumbprint")?))
    }
}
