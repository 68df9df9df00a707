//! What no key of ours signed: somebody who plays us, a product's stopgap, another authority.

use acme::renewal::State;
use acme::severity::Severity;
use acme::verdict::Verdict;

use super::{Case, Judgement, found, span};
use crate::possession::Possession;
use crate::probe::facts::Facts;
use crate::probe::product::product;
use crate::probe::target::Expect;

impl Case<'_> {
    /// One that no key of ours signed.
    pub(super) fn theirs(&self, facts: &Facts) -> Judgement {
        let said = &facts.issuer_name;
        if self.authorities.iter().any(|authority| authority.is_named_by(facts)) {
            return found(
                Verdict::ImpostorIssuer,
                format!(
                    "names our issuer '{said}', but another key signed it; was the CA made anew, or is somebody playing it?"
                ),
            );
        }
        let chain: Vec<Facts> = std::iter::once(facts.clone())
            .chain(self.shown.chain.iter().skip(1).filter_map(|der| Facts::read(der).ok()))
            .collect();
        if let Some(product) = product(&chain) {
            let detail = format!(
                "is not ours but {product}, valid to {}; ca-ctl explain {} says why none of ours is there",
                facts.not_after, self.name
            );
            return Judgement { product: Some(product.to_owned()), ..found(Verdict::FallbackCert, detail) };
        }
        let is_public = self.public.vouches_for(&self.shown.chain, &self.name, self.now);
        match (self.target.expect, is_public) {
            (Expect::Public, true) => self.public(facts),
            (Expect::Public, false) => found(
                Verdict::ForeignIssuer,
                format!("was signed by '{said}', to which no public authority's path leads"),
            ),
            (_, true) => found(
                Verdict::ForeignIssuer,
                format!(
                    "was signed by '{said}', a public authority; set expect = \"public\" if that is intended"
                ),
            ),
            (_, false) => found(
                Verdict::ForeignIssuer,
                format!(
                    "was signed by '{said}', which is neither ours nor public; find out who put it there"
                ),
            ),
        }
    }

    /// One of a public authority, where one is expected.
    pub(super) fn public(&self, facts: &Facts) -> Judgement {
        let said = &facts.issuer_name;
        if self.shown.possession == Possession::Refuted {
            return found(
                Verdict::ImpostorIssuer,
                format!("shows one of '{said}', but another key signed the handshake"),
            );
        }
        if self.now > facts.not_after {
            return found(
                Verdict::Expired,
                format!("one of '{said}' ended on {}; renew it there", facts.not_after),
            );
        }
        if self.now < facts.not_before {
            return found(
                Verdict::NotYetValid,
                format!("one of '{said}' begins on {} only; compare the clocks", facts.not_before),
            );
        }
        if !facts.covers(&self.name) {
            return found(
                Verdict::SanMismatch,
                format!("one of '{said}' is not for {}; another virtual host answers", self.name),
            );
        }
        let severity = match self.known.state(facts.not_before, facts.not_after, self.now) {
            State::Overdue => Severity::Warning,
            State::Critical => Severity::Critical,
            _ => {
                return found(
                    Verdict::Ok,
                    format!("one of '{said}', as is expected, until {}", facts.not_after),
                );
            }
        };
        let detail = format!("one of '{said}' ends in {}; renew it there", span(facts.not_after, self.now));
        Judgement { severity: Some(severity), ..found(Verdict::Expiring, detail) }
    }
}
