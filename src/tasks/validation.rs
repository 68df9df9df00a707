//! One challenge from the client's answer to the verdict: attempts, patience, and what is kept of each.
//!
//! A validation that ends within a moment is kept by one commit, verdict and all. One that takes longer is first kept
//! as begun, so that a stop loses nothing that a client was told; then the client is answered `processing`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};

use acme::challenge::{KeyAuthorization, Type};
use acme::failure::{Evidence, Failure, Phase, Reason};
use acme::order::AuthorizationStatus;
use acme::time::Timestamp;
use store::audit::AuditEvent;
use store::authorization::{AcceptChallenge, Authorization, RecordAttempt, Validated, Verdict};

use crate::app::{App, Kept};
use crate::audit;
use crate::limits::Bucket;
use crate::validate::{Applicant, Challenge, Proof};

/// A challenge to be validated.
pub(super) struct Job {
    pub(super) authorization: Authorization,
    /// The RFC 7638 thumbprint of the key that its account had when the challenge was answered: RFC 8555 8.3 has the
    /// key authorization made and stored then, so a change of the key (7.3.5) in between spoils nothing.
    pub(super) thumbprint: String,
    pub(super) challenge: Type,
    /// Whoever waits for the answer to be kept.
    pub(super) kept: Option<oneshot::Sender<Kept>>,
}

impl Job {
    /// Runs to the verdict, or to an error of the store: then the row says that work is left, and it is resumed.
    pub(super) async fn run(mut self, app: &App, slots: &Semaphore) {
        let name = self.authorization.identifier.to_string();
        if let Err(error) = self.attempts(app, slots).await {
            let conflict = matches!(error, store::Error::Conflict { .. });
            if conflict {
                tracing::info!(name, "the authorization was settled by another hand");
                if let Some(kept) = self.kept.take() {
                    let _ = kept.send(Kept::Before);
                }
            } else {
                tracing::error!(name, %error, "a verdict could not be kept; the validation is resumed later");
            }
        }
    }

    async fn attempts(&mut self, app: &App, slots: &Semaphore) -> Result<(), store::Error> {
        let expected = self.authorization.token.key_authorization(&self.thumbprint);
        let began_at = self.authorization.attempted_at.unwrap_or_else(|| app.clock.now());
        let already = app.clock.now().seconds_since(began_at).max(0);
        let already = Duration::from_secs(already.unsigned_abs());
        let began = Instant::now();
        let mut wait = FIRST_WAIT;
        let mut last: Option<Failure> = None;
        loop {
            let mut reloaded = app.reloaded();
            let patience = app.live().config.validation.patience;
            let left = || patience.saturating_sub(already).saturating_sub(began.elapsed());
            let within = last.is_some().then(left);
            let attempt = self.attempt(app, slots, &expected, began_at, within).await?;
            let failure = match (attempt, last.take()) {
                (Some(Ok(proof)), _) => return self.valid(app, proof, began_at).await,
                (Some(Err(failure)), _) => failure,
                // Patience ran out in the middle: the failure before it is the verdict.
                (None, Some(failure)) => return self.invalid(app, failure, began_at).await,
                (None, None) => continue,
            };
            app.metrics.validation_failed(&failure, app.clock.now());
            let left = left();
            if !failure.is_transient() || left.is_zero() {
                return self.invalid(app, failure, began_at).await;
            }
            tracing::warn!(
                name = failure.name,
                phase = failure.phase.as_str(),
                reason = failure.reason.as_str(),
                again_in_seconds = wait.min(left).as_secs(),
                "validation attempt failed: {failure}"
            );
            self.begun_with(app, failure.clone(), began_at).await?;
            last = Some(failure);
            tokio::select! {
                () = tokio::time::sleep(wait.min(left)) => {}
                // A pin was added, perhaps: try at once.
                _ = reloaded.changed() => {}
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// One attempt. The first may take the time that it needs; a later one is cut off when patience ends (`None`).
    async fn attempt(
        &mut self,
        app: &App,
        slots: &Semaphore,
        expected: &KeyAuthorization,
        began_at: Timestamp,
        within: Option<Duration>,
    ) -> Result<Option<Result<Proof, Failure>>, store::Error> {
        let live = app.live();
        let identifier = self.authorization.identifier.clone();
        let token = self.authorization.token.clone();
        let applicant = self.applicant(app).await?;
        let challenge = Challenge {
            kind: self.challenge,
            identifier: &identifier,
            wildcard: self.authorization.wildcard,
            token: &token,
            expected,
            applicant: &applicant,
            now: app.clock.now(),
        };
        let attempt = async {
            // Waiting for a slot is a part of the attempt: the client is not held back for it either.
            let _slot = slots.acquire().await;
            live.validator.attempt(&challenge).await
        };
        tokio::pin!(attempt);
        if self.kept.is_some() {
            match tokio::time::timeout(HOLD, &mut attempt).await {
                Ok(result) => return Ok(Some(result)),
                Err(_) => self.begun(app, began_at).await?,
            }
        }
        Ok(match within {
            Some(within) => tokio::time::timeout(within.max(LAST_CHANCE), attempt).await.ok(),
            None => Some(attempt.await),
        })
    }

    /// The account, as it is now: what one of dns-persist-01 may use ends with its account.
    async fn applicant(&self, app: &App) -> Result<Applicant, store::Error> {
        let account = &self.authorization.account;
        let thumbprints = match self.challenge {
            Type::DnsPersist01 => app.store.thumbprints(account).await?,
            _ => Vec::new(),
        };
        let (url, hash_prefix) = (app.urls.account(account), app.urls.account_hash_prefix());
        Ok(Applicant { url, hash_prefix, thumbprints })
    }

    /// Keeps that the challenge was answered, once, and lets the client be told.
    async fn begun(&mut self, app: &App, at: Timestamp) -> Result<(), store::Error> {
        if self.authorization.attempted.is_none() {
            let authorization = self.authorization.id.clone();
            let (challenge, thumbprint) = (self.challenge, self.thumbprint.clone());
            app.store.write(AcceptChallenge { authorization, challenge, thumbprint, now: at }).await?;
            self.attempted(at);
        }
        self.answer();
        Ok(())
    }

    /// The same, with the failure that the client is shown while we go on trying.
    async fn begun_with(
        &mut self,
        app: &App,
        failure: Failure,
        attempted_at: Timestamp,
    ) -> Result<(), store::Error> {
        let authorization = self.authorization.id.clone();
        app.store
            .write(RecordAttempt {
                authorization,
                challenge: self.challenge,
                thumbprint: self.thumbprint.clone(),
                attempted_at,
                failure: failure.clone(),
            })
            .await?;
        self.attempted(attempted_at);
        self.authorization.error = Some(failure);
        self.answer();
        Ok(())
    }

    /// What the row says from now on.
    fn attempted(&mut self, at: Timestamp) {
        self.authorization.attempted = Some(self.challenge);
        self.authorization.attempted_at.get_or_insert(at);
    }

    async fn valid(&mut self, app: &App, proof: Proof, began_at: Timestamp) -> Result<(), store::Error> {
        let now = app.clock.now();
        let Proof { evidence, until } = proof;
        if self.authorization.expires_at <= now {
            let failure = too_late(&self.authorization, self.challenge, evidence);
            return self.invalid(app, failure, began_at).await;
        }
        let name = self.authorization.identifier.to_string();
        let from = evidence.lookups.last().map(|l| l.server.clone()).unwrap_or_default();
        let address = evidence.dials.last().map(|d| d.address.to_string()).unwrap_or_default();
        let usual = now.plus(VALID_LIFETIME.max(app.live().config.reuse));
        let expires_at = until.map_or(usual, |until| until.min(usual));
        let verdict = Verdict::Valid { evidence, validated_at: now, expires_at };
        self.settle(app, verdict, began_at, now).await?;
        app.metrics.validated();
        app.limits.fill(&Bucket::FailedValidations(self.authorization.account.to_string(), name.clone()));
        tracing::info!(name, challenge = %self.challenge, address, from, "validated");
        self.answer();
        Ok(())
    }

    async fn invalid(
        &mut self,
        app: &App,
        failure: Failure,
        began_at: Timestamp,
    ) -> Result<(), store::Error> {
        let now = app.clock.now();
        tracing::warn!(
            name = failure.name,
            order = self.authorization.order.as_ref().map(tracing::field::display),
            phase = failure.phase.as_str(),
            reason = failure.reason.as_str(),
            evidence = serde_json::to_string(&failure.evidence).unwrap_or_default(),
            "validation failed: {failure}"
        );
        let (limits, account) = (app.live().config.limits, self.authorization.account.to_string());
        let name = self.authorization.identifier.to_string();
        app.limits.count(&limits, &Bucket::FailedValidations(account, name), now);
        let problem = failure.to_problem();
        self.settle(app, Verdict::Invalid { failure, problem }, began_at, now).await?;
        self.answer();
        Ok(())
    }

    /// Keeps the verdict, and makes the authorization in hand what its row is.
    async fn settle(
        &mut self,
        app: &App,
        verdict: Verdict,
        attempted_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), store::Error> {
        let word = match &verdict {
            Verdict::Valid { .. } => "authorization-valid",
            Verdict::Invalid { .. } => "authorization-invalid",
        };
        let audit = AuditEvent {
            account: Some(self.authorization.account.clone()),
            order: self.authorization.order.clone(),
            ..audit(word, now)
        };
        let authorization = self.authorization.id.clone();
        let challenge = self.challenge;
        let before = app.authorizations.before(&authorization);
        let change = Validated { authorization, challenge, verdict: verdict.clone(), attempted_at, audit };
        let ended = app.store.write(change).await?;
        app.orders_ended(&self.authorization.account, ended);
        self.attempted(attempted_at);
        match verdict {
            Verdict::Valid { validated_at, expires_at, evidence } => {
                self.authorization.evidence = Some(evidence);
                self.authorization.status = AuthorizationStatus::Valid;
                self.authorization.validated_at = Some(validated_at);
                self.authorization.expires_at = expires_at;
                self.authorization.error = None;
                // Its order is finalized next.
                let (id, shown) = (self.authorization.id.clone(), Arc::new(self.authorization.clone()));
                app.authorizations.remember(id, shown, &before);
            }
            Verdict::Invalid { failure, .. } => {
                self.authorization.status = AuthorizationStatus::Invalid;
                self.authorization.error = Some(failure);
            }
        }
        Ok(())
    }

    fn answer(&mut self) {
        if let Some(kept) = self.kept.take() {
            // Whoever asked may have hung up; the state is kept all the same.
            let _ = kept.send(Kept::As(Box::new(self.authorization.clone())));
        }
    }
}

/// Control was shown, but there is no way back to valid for what has run out (RFC 8555 7.1.6).
fn too_late(authorization: &Authorization, challenge: Type, evidence: Evidence) -> Failure {
    let end = authorization.expires_at;
    Failure {
        phase: match challenge {
            Type::Http01 => Phase::Http,
            Type::TlsAlpn01 => Phase::Tls,
            Type::Dns01 | Type::DnsAccount01 | Type::DnsPersist01 => Phase::Record,
        },
        reason: Reason::Timeout,
        name: authorization.identifier.to_string(),
        detail: format!("control was shown after the authorization had run out at {end}; make a new order"),
        first_bytes: None,
        evidence,
    }
}

/// How long a client's answer is held back for the verdict.
const HOLD: Duration = Duration::from_millis(500);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// What an attempt gets that begins just before patience ends.
const LAST_CHANCE: Duration = Duration::from_millis(250);
/// How long a valid authorization can be used to finalize.
const VALID_LIFETIME: Duration = Duration::from_secs(24 * 3_600);
