//! The targets, for the driver beside them and for `cargo fuzz`.

mod certificate;
mod dns;
mod http01;
mod identifier;
mod served;
mod signed;

use std::path::{Path, PathBuf};

use acme::problem::Problem;

pub(crate) use certificate::{csr, tls_alpn};
pub(crate) use dns::dns;
pub(crate) use http01::http01;
pub(crate) use identifier::identifier;
pub(crate) use served::served;
pub(crate) use signed::{jwk, jws};

/// What every refusal is: one of the registered types (the compiler sees to that), in a bounded sentence that breaks
/// neither a terminal nor a client that reads JSON with `sed`. Returned for people.
fn refused(problem: &Problem) -> String {
    assert_text(&problem.detail, 501);
    assert!(!problem.detail.contains(['"', '\\']), "{problem}");
    assert!((400..500).contains(&problem.status), "{problem}");
    for part in &problem.subproblems {
        assert_text(&part.detail, 301);
    }
    problem.to_string()
}

/// A file of the repository's `fixtures/`, from either package.
fn fixtures(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = if here.ends_with("tests/fuzz") { here.join("../..") } else { here.to_owned() };
    root.join("fixtures").join(name)
}

fn assert_text(text: &str, limit: usize) {
    assert!(!text.is_empty(), "a refusal says why");
    assert!(text.chars().count() <= limit, "{} characters: {text}", text.chars().count());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
