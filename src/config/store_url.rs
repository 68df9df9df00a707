//! `store.url`: a SQLite file, or a PostgreSQL database whose host and name stand in the URL and whose password stands
//! in a file. What the driver would take from its environment, or leave aside with a warning, is refused here.

use std::path::{Path, PathBuf};

use super::{Error, refuse};

/// The URL with its paths made absolute.
pub(super) fn parse(text: &str, dir: &Path) -> Result<String, Error> {
    if let Some(path) = text.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.contains('?') {
            return refuse(KEY, "sqlite:PATH would do, such as sqlite:/var/lib/acme-ca/ca.db");
        }
        return Ok(format!("sqlite:{}", dir.join(path).display()));
    }
    match text.split_once("://") {
        Some((scheme @ ("postgres" | "postgresql"), rest)) => postgres(scheme, rest, dir),
        _ => refuse(KEY, "it begins neither with sqlite: nor with postgres://"),
    }
}

/// The file with the password of a URL that [`parse`] made, if it names one.
pub(super) fn password_file(url: &str) -> Option<PathBuf> {
    let (_, query) = url.split_once('?').filter(|_| url.starts_with("postgres"))?;
    query.split('&').find_map(|pair| pair.strip_prefix("password_file=")).map(PathBuf::from)
}

/// No sentence repeats the URL: a password may stand in it.
fn postgres(scheme: &str, rest: &str, dir: &Path) -> Result<String, Error> {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        return refuse(KEY, PASSWORD);
    }
    let mut pairs = Vec::new();
    let (mut named_host, mut named_database) = (!host_of(host).is_empty(), !database.is_empty());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key {
            "password" => return refuse(KEY, PASSWORD),
            "password_file" if value.is_empty() => {
                return refuse(KEY, "its password_file is empty; the path of a file would do");
            }
            // Beside the configuration, as every other path.
            "password_file" => {
                pairs.push(format!("password_file={}", dir.join(value).display()));
                continue;
            }
            "host" | "hostaddr" => named_host |= !value.is_empty(),
            "dbname" => named_database |= !value.is_empty(),
            key if KNOWN.contains(&key) || (key.starts_with("options[") && key.ends_with(']')) => {}
            other => {
                let other = acme::problem::plain(other, 40);
                let known = KNOWN_TO_PEOPLE;
                return refuse(KEY, format!("its parameter {other} is unknown; known are {known}"));
            }
        }
        pairs.push(pair.to_owned());
    }
    if !named_host {
        return refuse(
            KEY,
            "it names no host; postgres://USER@HOST/DATABASE would do, or \
             postgres://USER@/DATABASE?host=/run/postgresql for a socket of this machine",
        );
    }
    if !named_database {
        return refuse(KEY, "it names no database; postgres://USER@HOST/DATABASE would do");
    }
    let place = if host_of(host).is_empty() {
        // The driver's reader of URLs refuses a user or a port without a host; as parameters it takes them.
        pairs.extend((!user.is_empty()).then(|| format!("user={user}")));
        pairs.extend(
            host.strip_prefix(':').filter(|port| !port.is_empty()).map(|port| format!("port={port}")),
        );
        format!("/{database}")
    } else {
        place.to_owned()
    };
    let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
    Ok(format!("{scheme}://{place}{query}"))
}

/// Without the port.
fn host_of(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((host, _)) if !text.ends_with(']') => host,
        _ => text,
    }
}

const KEY: &str = "store.url";
const PASSWORD: &str =
    "a password stands in it, and who reads the configuration reads it; ?password_file=PATH would do";
/// What the driver carries out, beside what is matched above.
const KNOWN: &[&str] = &[
    "port",
    "user",
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "application_name",
    "options",
];
const KNOWN_TO_PEOPLE: &str =
    "password_file, host, hostaddr, port, dbname, user, sslmode, sslrootcert, sslcert, sslkey and options";
