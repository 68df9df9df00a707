//! The server is killed with SIGKILL, as a power cut would, at every stage of an issuance, and started again. Whatever a
//! client was told still holds, what was under way goes on by itself, and no order gets two certificates. Each journey
//! runs on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use openssl::x509::X509;

use support::ca::PIN_CORP_LAN;
use support::clients::{Certbot, Lego, Show, run, succeed};
use support::csr::{Request, ec_key};
use support::responder::Mood;
use support::servers::Postgres;
use support::{Ca, Client, Responder, oracle};

/// Makes of one `async fn name(ca: Ca)` two tests, one a database.
macro_rules! both {
    ($($(#[doc = $doc:literal])* async fn $name:ident($ca:ident: Ca) $body:block)*) => {$(
        mod $name {
            use super::*;

            $(#[doc = $doc])*
            async fn journey(mut $ca: Ca) $body

            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                journey(Ca::pinned().await).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                let Some(database) = Postgres::database(stringify!($name)) else { return };
                let mut ca = Ca::new();
                ca.configure(PIN_CORP_LAN);
                ca.keep_in(&database.url());
                ca.start().await;
                journey(ca).await;
            }
        }
    )*};
}

both! {
    /// After newOrder: the order, its authorizations and its tokens are still there.
    async fn a_new_order_survives(ca: Ca) {
        let client = Client::registered(&ca).await.persistent();
        let responder = Responder::start(ca.http_port).await;
        let order = client.new_order(&["one.corp.lan", "two.corp.lan"]).await;
        let before = client.authorizations(&order).await;
        ca.kill9();
        ca.restart().await;
        assert_eq!(client.authorizations(&order).await, before);
        for challenge in client.publish(&order, &responder).await {
            client.answer(&challenge).await.expect(200);
        }
        assert_eq!(client.settled(&order.url).await["status"], "ready");
        let key = ec_key();
        client.finalize(&order, &Request::new(&["one.corp.lan", "two.corp.lan"], &key).to_der()).await.expect(200);
        let chain = client.certificate(&order).await;
        oracle::check(&ca, &[chain]).await;
    }

    /// While a validation runs: the client only polls, and the server takes the validation up by itself, soon.
    async fn a_slow_validation_is_taken_up_again(ca: Ca) {
        let client = Client::registered(&ca).await.persistent();
        let responder = Responder::start(ca.http_port).await;
        responder.be(Mood::Hold);
        let names = ["slow1.corp.lan", "slow2.corp.lan"];
        let order = client.new_order(&names).await;
        for challenge in client.publish(&order, &responder).await {
            let reply = client.answer(&challenge).await.expect(200);
            assert_eq!(reply["status"], "processing", "nobody answered yet: {reply}");
        }
        responder.asked_times(2).await;
        ca.kill9();

        let began = Instant::now();
        ca.restart().await;
        let up = began.elapsed();
        let asked = responder.asked_times(4).await.at;
        let resumed = asked.saturating_duration_since(began);
        assert!(resumed < up + Duration::from_secs(1), "up after {up:?}, and resumed after {resumed:?}");
        responder.be(Mood::Answer);
        assert_eq!(client.settled(&order.url).await["status"], "ready");
        assert_eq!(responder.asked().len(), 4, "each name is asked once in each life");
        let key = ec_key();
        client.finalize(&order, &Request::new(&names, &key).to_der()).await.expect(200);
        let chain = client.certificate(&order).await;
        oracle::check(&ca, &[chain]).await;
    }

    /// SIGTERM in the same place: the stop is orderly, does not wait for ever, and loses nothing.
    async fn a_stop_leaves_a_validation_to_the_next_start(ca: Ca) {
        let client = Client::registered(&ca).await.persistent();
        let responder = Responder::start(ca.http_port).await;
        responder.be(Mood::Hold);
        let order = client.new_order(&["slow.corp.lan"]).await;
        let challenge = client.publish(&order, &responder).await.remove(0);
        client.answer(&challenge).await.expect(200);
        responder.asked_times(1).await;
        let status = tokio::task::block_in_place(|| ca.terminate());
        assert!(status.success(), "{status}");
        responder.be(Mood::Answer);
        ca.restart().await;
        assert_eq!(client.settled(&order.url).await["status"], "ready");
        oracle::check(&ca, &[]).await;
    }

    /// Around finalize, a little later in each round: before the intent, between intent and signature, after the
    /// certificate is kept, after the answer. The client asks again with the same CSR, as clients do.
    async fn a_finalize_ends_in_one_certificate(ca: Ca) {
        let client = Client::registered(&ca).await.persistent();
        let responder = Responder::start(ca.http_port).await;
        // How long a finalize takes here; the kills are spread over that time and a little beyond.
        let first = client.ready_order(&["first.corp.lan"], &responder).await;
        let csr = Request::new(&["first.corp.lan"], &ec_key()).to_der();
        let began = Instant::now();
        client.finalize(&first, &csr).await.expect(200);
        let step = began.elapsed().mul_f64(1.5) / ROUNDS;
        let mut held = vec![client.certificate(&first).await];
        let mut serials = HashSet::new();
        for round in 0..ROUNDS {
            let name = format!("round{round}.corp.lan");
            let order = client.ready_order(&[&name], &responder).await;
            let key = ec_key();
            let csr = Request::new(&[&name], &key).to_der();
            let kill = async {
                tokio::time::sleep(step * round).await;
                ca.kill9();
                ca.restart().await;
            };
            let ((), reply) = tokio::join!(kill, client.finalize(&order, &csr));
            assert_eq!(reply.status, 200, "{reply}");
            let chain = client.certificate(&order).await;
            let leaf = X509::from_pem(chain.as_bytes()).unwrap();
            assert!(leaf.public_key().unwrap().public_eq(&key), "the certificate is for the client's key");
            // Asked once more, it is the same certificate.
            client.finalize(&order, &csr).await.expect(200);
            assert_eq!(client.certificate(&order).await, chain);
            assert!(serials.insert(leaf.serial_number().to_bn().unwrap().to_vec()), "a serial is used once");
            held.push(chain);
        }
        oracle::check(&ca, &held).await;
    }

    /// Several clients at once, killed at any moment: all that they notice is the delay.
    async fn many_orders_survive_random_kills(ca: Ca) {
        let responder = Arc::new(Responder::start(ca.http_port).await);
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(Arc::new(Client::registered(&ca).await.persistent()));
        }
        let done = Arc::new(AtomicBool::new(false));
        let work = clients.iter().enumerate().map(|(number, client)| {
            let (client, responder) = (Arc::clone(client), Arc::clone(&responder));
            tokio::spawn(async move {
                let mut held = Vec::new();
                for turn in 0..TURNS {
                    let name = format!("c{number}t{turn}.corp.lan");
                    held.push(client.issue(&[&name, "shared.corp.lan"], &responder).await.pem);
                }
                held
            })
        });
        let work: Vec<_> = work.collect();
        let all = {
            let done = Arc::clone(&done);
            tokio::spawn(async move {
                let held = join_all(work).await;
                done.store(true, Ordering::Release);
                held
            })
        };
        for _ in 0..KILLS {
            let mut random = [0; 1];
            aws_lc_rs::rand::fill(&mut random).unwrap();
            tokio::time::sleep(Duration::from_millis(40 + u64::from(random[0]))).await;
            if done.load(Ordering::Acquire) {
                break;
            }
            ca.kill9();
            ca.restart().await;
        }
        let held: Vec<String> = all.await.unwrap().into_iter().flat_map(Result::unwrap).collect();
        assert_eq!(held.len(), CLIENTS * TURNS);
        oracle::at_rest(&ca).await;
        oracle::check(&ca, &held).await;
    }

    /// Real clients give up when their server goes away, and try again later: that must work.
    async fn certbot_and_lego_get_there_by_trying_again(ca: Ca) {
        let (certbot, lego) = (Certbot::new(&ca), Lego::new(&ca));
        // What a client leaves behind that gave up is given up too, soon.
        ca.configure("[validation]\npatience = \"2s\"");
        ca.hup().await;
        for moment in [50, 400, 900] {
            let run = run(certbot.certonly(&["certbot.corp.lan"], "ecdsa", &Show::Standalone));
            killed_at_the(moment, &mut ca, run).await;
        }
        succeed(certbot.certonly(&["certbot.corp.lan"], "ecdsa", &Show::Standalone)).await;
        let certbot = certbot.files("certbot.corp.lan");
        certbot.must_verify(&ca, &["certbot.corp.lan"]).await;

        for moment in [10, 60, 150] {
            killed_at_the(moment, &mut ca, run(lego.command(&["lego.corp.lan"], "ec256", &["run"]))).await;
        }
        succeed(lego.command(&["lego.corp.lan"], "ec256", &["run"])).await;
        let lego = lego.files("lego.corp.lan");
        lego.must_verify(&ca, &["lego.corp.lan"]).await;
        oracle::at_rest(&ca).await;
        oracle::check(&ca, &[certbot.held(), lego.held()]).await;
    }
}

/// The server is killed so many milliseconds after a client's first request, and started again; the client ends as it
/// ends.
async fn killed_at_the(millis: u64, ca: &mut Ca, client: impl Future<Output = std::process::Output>) {
    let before = ca.log().len();
    let kill = async {
        ca.log_after(before, |log| !log.is_empty()).await;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        ca.kill9();
        ca.restart().await;
    };
    tokio::join!(kill, client);
}

const ROUNDS: u32 = 16;
const CLIENTS: usize = 6;
const TURNS: usize = 6;
const KILLS: usize = 12;
