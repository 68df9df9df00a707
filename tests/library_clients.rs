//! Libraries that others build their clients on: the Python `acme` (certbot, TrueNAS, Ansible), node's `acme-client`, and
//! instant-acme for Rust. The first two by small scripts in tests/clients.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use hyper::body::Bytes;
use instant_acme::{
    Account, AuthorizationStatus, BodyWrapper, BytesResponse, CertificateIdentifier, ChallengeType, Error,
    HttpClient, Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy, RevocationReason,
    RevocationRequest,
};
use openssl::x509::X509;
use rustls::pki_types::CertificateDer;

use support::clients::{Files, bounded, installed, reasons, succeed};
use support::csr::{Request, ec_key};
use support::fetched;
use support::servers::Nginx;
use support::{Ca, Client, Responder, oracle};

#[tokio::test(flavor = "multi_thread")]
async fn the_python_library_issues_renews_and_revokes() {
    let Some(place) = fetched::CERTBOT.directory("the Python library acme") else { return };
    let ca = Ca::pinned().await;
    let dir = ca.scratch("python");
    let names = ["p.corp.lan", "python.corp.lan"];
    let mut script = bounded(&place.join("bin/python"));
    script.arg(fetched::scripts().join("acme_library.py")).args([&ca.directory(), &ca.http_port.to_string()]);
    script.arg(&dir).args(names).env("REQUESTS_CA_BUNDLE", ca.root());
    let said = succeed(script).await;
    assert!(said.contains("renewal at"), "{said}");
    two_were_issued_and_one_revoked(&ca, &dir, &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_acme_client_issues_renews_changes_its_key_and_revokes() {
    let Some(place) = fetched::ACME_CLIENT.directory("node acme-client") else { return };
    let ca = Ca::pinned().await;
    let _nginx = Nginx::webroot(&ca).await;
    let dir = ca.scratch("node");
    let names = ["j.corp.lan", "node.corp.lan"];
    let mut script = bounded(&installed("node", "nodejs"));
    script.arg(fetched::scripts().join("acme_client.js")).arg(ca.directory()).arg(ca.scratch("webroot"));
    script.arg(&dir).args(names).env("NODE_EXTRA_CA_CERTS", ca.root());
    script.env("NODE_PATH", place.join("node_modules"));
    succeed(script).await;
    two_were_issued_and_one_revoked(&ca, &dir, &names).await;
}

/// What the scripts leave behind.
async fn two_were_issued_and_one_revoked(ca: &Ca, dir: &Path, names: &[&str]) {
    let mut held = Vec::new();
    for number in ["first.pem", "second.pem"] {
        let full = dir.join(number);
        let files = Files { leaf: full.clone(), chain: full.clone(), full, key: dir.join("key.pem") };
        files.must_verify(ca, names).await;
        held.push(files.held());
    }
    assert_ne!(held[0], held[1]);
    assert_eq!(reasons(ca, names[0]), ["superseded"]);
    oracle::check(ca, &held).await;
}

/// Its account key is changed, a certificate replaces another by name, and an authorization is given up.
#[tokio::test(flavor = "multi_thread")]
async fn instant_acme_issues_renews_changes_its_key_and_revokes() {
    let ca = Ca::pinned().await;
    let responder = Responder::start(ca.http_port).await;
    let new = NewAccount {
        contact: &["mailto:admin@corp.lan"],
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let builder = Account::builder_with_http(Box::new(Web(Arc::new(Client::new(&ca)))));
    let (mut account, _) = builder.create(&new, ca.directory(), None).await.unwrap();
    let names = ["i.corp.lan", "instant.corp.lan"];
    let identifiers = names.map(|name| Identifier::Dns(name.to_owned()));

    let first = issue(&account, NewOrder::new(&identifiers), &names, &responder).await;
    let der = |pem: &str| {
        let leaf = X509::from_pem(pem.as_bytes()).unwrap().to_der().unwrap();
        CertificateDer::from(leaf)
    };
    let leaf = der(&first);
    let id = support::flow::certificate_id(&first);
    let (key, serial) = id.split_once('.').unwrap();
    let id = CertificateIdentifier { authority_key_identifier: key.into(), serial: serial.into() };
    let _credentials = account.update_key().await.unwrap();
    let second = issue(&account, NewOrder::new(&identifiers).replaces(id), &names, &responder).await;
    assert_ne!(first, second);

    let request = RevocationRequest { certificate: &leaf, reason: Some(RevocationReason::Superseded) };
    account.revoke(&request).await.unwrap();
    assert_eq!(reasons(&ca, names[0]), ["superseded"]);

    let given_up = [Identifier::Dns("given-up.corp.lan".to_owned())];
    let mut order = account.new_order(&NewOrder::new(&given_up)).await.unwrap();
    let mut authorizations = order.authorizations();
    let mut authorization = authorizations.next().await.unwrap().unwrap();
    assert_eq!(authorization.deactivate().await.unwrap().status, AuthorizationStatus::Deactivated);
    assert_eq!(order.refresh().await.unwrap().status, OrderStatus::Invalid);
    account.update_contacts(&["mailto:other@corp.lan"]).await.unwrap();
    account.deactivate().await.unwrap();
    oracle::check(&ca, &[first, second]).await;
}

async fn issue(account: &Account, new: NewOrder<'_>, names: &[&str], responder: &Responder) -> String {
    let mut order = account.new_order(&new).await.unwrap();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.unwrap();
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut challenge = authorization.challenge(ChallengeType::Http01).unwrap();
        responder.publish(&challenge.token, challenge.key_authorization().as_str());
        challenge.set_ready().await.unwrap();
    }
    let patience = RetryPolicy::default();
    assert_eq!(order.poll_ready(&patience).await.unwrap(), OrderStatus::Ready);
    order.finalize_csr(&Request::new(names, &ec_key()).to_der()).await.unwrap();
    order.poll_certificate(&patience).await.unwrap()
}

/// Its requests over the tests' own connections, so that no second TLS stack is built for it; the golden rules are held
/// against the replies as everywhere.
struct Web(Arc<Client>);

impl HttpClient for Web {
    fn request(
        &self,
        request: hyper::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = Arc::clone(&self.0);
        Box::pin(async move {
            client.forward(request).await.map(Into::into).map_err(|lost| Error::Other(lost.into()))
        })
    }
}
