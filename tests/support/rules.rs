//! What holds for every reply of the server whatever was asked: the golden rules, each of which some client needs
//! (acme.sh reads JSON with `sed`, certbot wants a nonce with every answer, uacme wants exact statuses…). The test
//! client applies them to everything that it receives, so every journey checks them.

use acme::time::Timestamp;
use serde_json::Value;

use super::raw::Reply;

/// Panics with every rule that a reply breaks.
pub fn must_hold(reply: &Reply, base: &str) {
    let broken = broken(reply, base);
    assert!(broken.is_empty(), "golden rules broken: {broken:#?}\nby {reply}");
}

/// The rules that a reply breaks, as sentences.
pub fn broken(reply: &Reply, base: &str) -> Vec<String> {
    let mut broken = Broken(Vec::new());
    headers(reply, base, &mut broken);
    if reply.status >= 400 {
        problem(reply, &mut broken);
    } else {
        success(reply, base, &mut broken);
    }
    broken.0
}

struct Broken(Vec<String>);

impl Broken {
    fn unless(&mut self, holds: bool, rule: impl Into<String>) {
        if !holds {
            self.0.push(rule.into());
        }
    }
}

fn headers(reply: &Reply, base: &str, broken: &mut Broken) {
    let route = path(reply);
    let post = reply.method == "POST";
    if post || route == "/acme/new-nonce" {
        let nonces = reply.all("replay-nonce");
        let good = |nonce: &str| {
            nonce.len() >= 22 && nonce.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        broken.unless(
            nonces.len() == 1 && good(nonces[0]),
            "one Replay-Nonce in base64url on every POST reply",
        );
        let cache = reply.header("cache-control").unwrap_or_default();
        broken.unless(cache.contains("no-store"), "Cache-Control: no-store on nonces and POST replies");
    }
    let links = reply.all("link");
    for link in &links {
        let single = link.starts_with('<') && link.matches('<').count() == 1 && link.contains("rel=\"");
        broken.unless(single, format!("one link a header, with a quoted rel: {link}"));
    }
    if route != "/acme/directory" {
        let index = format!("<{base}/acme/directory>;rel=\"index\"");
        let count = links.iter().filter(|link| link.replace("; ", ";") == index).count();
        broken.unless(count == 1, "Link rel=index everywhere but on the directory");
    }
    if let Some(after) = reply.header("retry-after") {
        broken.unless(after.parse::<u32>().is_ok(), format!("Retry-After is an integer: {after}"));
    }
    broken.unless(
        reply.header("access-control-allow-origin") == Some("*"),
        "any origin may read (RFC 8555 6.1)",
    );
    broken.unless(reply.header("access-control-allow-credentials").is_none(), "but never with credentials");
    if reply.status == 409 && route == "/acme/key-change" {
        let other =
            reply.header("location").is_some_and(|url| url.starts_with(&format!("{base}/acme/account/")));
        broken.unless(other, "a key conflict says whose the key is (RFC 8555 7.3.5)");
    }
    if reply.status == 405 {
        broken.unless(reply.header("allow").is_some_and(|allow| !allow.is_empty()), "405 comes with Allow");
    }
}

fn problem(reply: &Reply, broken: &mut Broken) {
    let media = reply.header("content-type").unwrap_or_default();
    broken.unless(media == "application/problem+json", format!("an error is a problem document: {media}"));
    if reply.method == "HEAD" {
        return;
    }
    let Some(body) = compact(reply, broken) else { return };
    problem_object(&body, broken);
    broken.unless(body["status"] == reply.status, "the body repeats the status");
    if reply.problem_type() == "badNonce" {
        let detail = body["detail"].as_str().unwrap_or_default();
        broken.unless(
            detail.contains("JWS has an invalid anti-replay nonce"),
            "acme.sh knows badNonce by its words",
        );
        broken.unless(reply.status == 400, "badNonce is 400");
    }
}

fn problem_object(body: &Value, broken: &mut Broken) {
    let kind = body["type"].as_str().unwrap_or_default();
    let word = kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or_default();
    broken.unless(REGISTERED.contains(&word), format!("only registered types: {kind}"));
    let detail = body["detail"].as_str().unwrap_or_default();
    broken.unless(!detail.is_empty(), "a problem has a detail");
    let awkward = detail.chars().any(|c| c.is_control() || matches!(c, '"' | '\\'));
    broken.unless(
        !awkward && detail.chars().count() <= 501,
        format!("a detail is one plain sentence: {detail}"),
    );
    for sub in body["subproblems"].as_array().into_iter().flatten() {
        broken.unless(sub["identifier"]["value"].is_string(), "a subproblem names its identifier");
        problem_object(sub, broken);
    }
}

fn success(reply: &Reply, base: &str, broken: &mut Broken) {
    let route = path(reply);
    let wanted: &[u16] = match (reply.method.as_str(), route) {
        ("OPTIONS", _) | ("GET" | "POST", "/acme/new-nonce") => &[204],
        (_, "/acme/new-account") => &[200, 201],
        (_, "/acme/new-order" | "/acme/new-authz") => &[201],
        (_, route) if route.starts_with("/crl/") => &[200, 304],
        _ => &[200],
    };
    broken.unless(
        wanted.contains(&reply.status),
        format!("{} {route} answers one of {wanted:?}", reply.method),
    );
    if reply.status == 204 || reply.method == "HEAD" {
        broken.unless(reply.body.is_empty(), "no body where none is due");
        return;
    }
    if route == "/acme/revoke-cert" || reply.status == 304 {
        broken.unless(reply.body.is_empty(), "a revocation that succeeds has an empty body (acme.sh)");
        return;
    }
    match reply.header("content-type").unwrap_or_default() {
        "application/json" => {
            if let Some(body) = compact(reply, broken) {
                dates_and_urls(&body, broken);
                resource(reply, route, &body, base, broken);
            }
        }
        "application/pem-certificate-chain" => {
            let text = String::from_utf8_lossy(&reply.body);
            broken.unless(text.ends_with("-----END CERTIFICATE-----\n"), "a chain ends in a line end");
            let blocks = text.matches("-----BEGIN ").count();
            let certificates = text.matches("-----BEGIN CERTIFICATE-----\n").count();
            broken.unless(
                certificates >= 2 && blocks == certificates,
                "a chain is the leaf, issuers, and no more",
            );
            let up = reply.all("link").iter().any(|link| link.contains("\"up\""));
            broken.unless(!up, "a chain has no Link rel=up, which acmez would fetch and append");
        }
        "application/x-pem-file" => broken.unless(route == "/root.pem", "PEM on its own route alone"),
        "text/plain; charset=utf-8" => {
            broken.unless(["/terms", "/limits"].contains(&route), "plain text on its own routes alone");
        }
        "application/pkix-crl" => {
            broken.unless(route.starts_with("/crl/"), "a CRL on its own route alone");
            let cache = reply.header("cache-control").unwrap_or_default();
            broken.unless(cache.contains("max-age="), "a CRL says how long it may be cached");
        }
        other => broken.unless(false, format!("a media type that clients know: {other}")),
    }
}

fn resource(reply: &Reply, route: &str, body: &Value, base: &str, broken: &mut Broken) {
    let location = reply.header("location").unwrap_or_default();
    let mut located = |at: &str| {
        let ours = location.starts_with(&format!("{base}{at}"));
        broken.unless(ours, format!("Location under {at}: {location:?}"));
    };
    match route.split('/').collect::<Vec<_>>().as_slice() {
        ["", "acme", "directory"] => directory(body, base, broken),
        ["", "acme", "new-account"] => {
            located("/acme/account/");
            account(body, broken);
        }
        ["", "acme", "account", _] | ["", "acme", "key-change"] => account(body, broken),
        ["", "acme", "account", _, "orders"] => {
            broken.unless(body["orders"].is_array(), "orders is a list (RFC 8555 7.1.2.1)");
        }
        ["", "acme", "new-order"] | ["", "acme", "order", ..] => {
            located("/acme/order/");
            order(body, broken);
            // Caddy, acme-tiny and OpenBSD's client go on from finalize at once, or stop.
            let over = ["valid", "processing"].iter().any(|status| body["status"] == *status);
            broken.unless(over || !route.ends_with("/finalize"), "finalize leaves no order ready");
        }
        ["", "acme", "new-authz"] => {
            located("/acme/authz/");
            authorization(body, broken);
        }
        ["", "acme", "renewal-info", _] => renewal_info(reply, body, broken),
        ["", "acme", "authz", _] => authorization(body, broken),
        ["", "acme", "challenge", ..] => {
            challenge(body, broken);
            let same = body["url"] == format!("{base}{route}");
            broken.unless(same, "a challenge has the URL that it was asked for at (certbot)");
            let up =
                reply.all("link").iter().any(|link| link.contains("/acme/authz/") && link.contains("\"up\""));
            broken.unless(up, "a challenge has Link rel=up (certbot)");
        }
        _ => broken.unless(false, format!("{route} is a route that these rules know")),
    }
}

fn directory(body: &Value, base: &str, broken: &mut Broken) {
    for key in ["newNonce", "newAccount", "newOrder"] {
        let ours = body[key].as_str().is_some_and(|url| url.starts_with(base));
        broken.unless(ours, format!("the directory has {key} under the configured base"));
    }
    broken.unless(body["meta"].is_object(), "the directory has meta (ansible)");
}

fn renewal_info(reply: &Reply, body: &Value, broken: &mut Broken) {
    let window = &body["suggestedWindow"];
    let (start, end) = (window["start"].as_str().unwrap_or("?"), window["end"].as_str().unwrap_or("!"));
    let second = |text: &str| Timestamp::parse_rfc3339(text).map(Timestamp::unix).unwrap_or_default();
    let wide = second(end) > second(start) + 1;
    broken.unless(wide, "a window ends more than a second after it began (RFC 9773 4.2, certmagic)");
    broken
        .unless(reply.header("retry-after").is_some(), "renewalInfo says when to look again (RFC 9773 4.3)");
}

fn account(body: &Value, broken: &mut Broken) {
    let status = body["status"].as_str().unwrap_or_default();
    broken.unless(["valid", "deactivated", "revoked"].contains(&status), "an account has a known status");
    broken.unless(body["orders"].is_string(), "an account has orders (RFC 8555 7.1.2)");
}

fn order(body: &Value, broken: &mut Broken) {
    let status = body["status"].as_str().unwrap_or_default();
    let known = ["pending", "ready", "processing", "valid", "invalid"].contains(&status);
    broken.unless(known, format!("an order has a known status: {status}"));
    let full = |key: &str| body[key].as_array().is_some_and(|list| !list.is_empty());
    broken
        .unless(full("identifiers") && full("authorizations"), "an order has identifiers and authorizations");
    body["identifiers"].as_array().into_iter().flatten().for_each(|one| identifier(one, broken));
    broken.unless(body["finalize"].is_string(), "an order has finalize in every state");
    broken.unless(body["expires"].is_string(), "an order has expires");
    broken.unless(body["certificate"].is_string() == (status == "valid"), "certificate exactly when valid");
    broken.unless(body["error"].is_object() == (status == "invalid"), "error exactly when invalid");
    if body["error"].is_object() {
        problem_object(&body["error"], broken);
    }
}

fn identifier(body: &Value, broken: &mut Broken) {
    let known = ["dns", "ip"].iter().any(|kind| body["type"] == *kind);
    broken.unless(known, format!("an identifier of a type that certbot knows: {body}"));
}

fn authorization(body: &Value, broken: &mut Broken) {
    let status = body["status"].as_str().unwrap_or_default();
    let known = ["pending", "valid", "invalid", "deactivated", "expired", "revoked"];
    broken.unless(
        known.contains(&status) && status != "expired",
        format!("a status that certbot knows: {status}"),
    );
    let name = body["identifier"]["value"].as_str().unwrap_or("*.");
    broken.unless(!name.starts_with("*."), "an authorization is for the name below the wildcard");
    identifier(&body["identifier"], broken);
    broken
        .unless(matches!(body.get("wildcard"), None | Some(Value::Bool(true))), "wildcard is true or absent");
    let challenges = body["challenges"].as_array().map(Vec::as_slice).unwrap_or_default();
    broken.unless(!challenges.is_empty(), "an authorization has challenges in every state");
    let at = challenges.iter().position(|challenge| challenge["type"] == "http-01");
    broken.unless(matches!(at, None | Some(0)), "http-01 stands first");
    for one in challenges {
        challenge(one, broken);
        let early = one["status"] == "invalid" && ["pending", "valid"].contains(&status);
        broken.unless(!early, "no challenge is invalid before its authorization (acme.sh stops at the word)");
    }
    if status == "invalid" {
        // One that was met says nothing when its authorization runs out: RFC 8555 8 keeps errors for what is invalid.
        let told = |challenge: &Value| challenge["error"].is_object() || challenge["status"] == "valid";
        let told = challenges.iter().any(told);
        broken.unless(told, "a failed authorization says why in a challenge");
    }
}

fn challenge(body: &Value, broken: &mut Broken) {
    let status = body["status"].as_str().unwrap_or_default();
    let known = ["pending", "processing", "valid", "invalid"].contains(&status);
    broken.unless(known, format!("a challenge has a known status: {status}"));
    let token = body["token"].as_str().unwrap_or_default();
    let persistent = body["type"] == "dns-persist-01";
    broken.unless(token.len() >= 22 || persistent, "a challenge has a token of 128 bits");
    let issuers = body["issuerDomainNames"].as_array().map(Vec::len);
    broken
        .unless(issuers.is_some_and(|n| (1..=10).contains(&n)) == persistent, "issuers with dns-persist-01");
    broken.unless(body["validated"].is_string() == (status == "valid"), "validated exactly when valid");
    let may_err = ["processing", "invalid"].contains(&status);
    broken.unless(body.get("error").is_none() || may_err, "error only where something failed");
    broken.unless(status != "invalid" || body["error"].is_object(), "an invalid challenge has its error");
    for (key, value) in body.as_object().into_iter().flatten() {
        let known = ["type", "url", "status", "token", "issuerDomainNames", "validated", "error"];
        let known = known.contains(&key.as_str());
        let flat = ["error", "issuerDomainNames"].contains(&key.as_str()) || value.is_string();
        broken.unless(known && flat, format!("challenges are flat: {key}"));
    }
    if body["error"].is_object() {
        problem_object(&body["error"], broken);
    }
}

/// The body as JSON, which must be compact and say nothing that it does not know.
fn compact(reply: &Reply, broken: &mut Broken) -> Option<Value> {
    let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else {
        broken.unless(false, "the body is JSON");
        return None;
    };
    let (mut inside, mut escaped, mut spaces) = (false, false, false);
    for byte in &reply.body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b' ' | b'\n' | b'\r' | b'\t' if !inside => spaces = true,
            _ => {}
        }
    }
    broken.unless(!spaces, "JSON is compact");
    broken.unless(body.is_object(), "a body is an object");
    broken.unless(!holds_nothing(&body), "no null and no empty object");
    Some(body)
}

fn holds_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty() || members.values().any(holds_nothing),
        Value::Array(items) => items.iter().any(holds_nothing),
        _ => false,
    }
}

fn dates_and_urls(value: &Value, broken: &mut Broken) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                if let (true, Some(text)) = (DATES.contains(&key.as_str()), value.as_str()) {
                    broken.unless(is_date(text), format!("RFC 3339 with Z and whole seconds: {key} {text}"));
                }
                dates_and_urls(value, broken);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| dates_and_urls(item, broken)),
        Value::String(text) if text.starts_with("https://") => {
            broken.unless(!text.contains([',', '#', ' ']), format!("URLs that sed can cut out: {text}"));
        }
        _ => {}
    }
}

fn is_date(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00Z"
}

fn path(reply: &Reply) -> &str {
    reply.path.split('?').next().unwrap_or_default()
}

const DATES: &[&str] = &["expires", "validated", "notBefore", "notAfter", "start", "end"];
const REGISTERED: &[&str] = &[
    "accountDoesNotExist",
    "alreadyReplaced",
    "alreadyRevoked",
    "badCSR",
    "badNonce",
    "badPublicKey",
    "badRevocationReason",
    "badSignatureAlgorithm",
    "caa",
    "compound",
    "connection",
    "dns",
    "externalAccountRequired",
    "incorrectResponse",
    "invalidContact",
    "invalidProfile",
    "malformed",
    "orderNotReady",
    "rateLimited",
    "rejectedIdentifier",
    "serverInternal",
    "tls",
    "unauthorized",
    "unsupportedContact",
    "unsupportedIdentifier",
    "userActionRequired",
];
