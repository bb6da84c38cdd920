//! Before any request is read: is it meant for this server, and may its sender ask?
//!
//! A web page can send requests to any address that its reader's browser can reach, including this
//! machine, and can point its own host name at such an address (DNS rebinding). So the `Host` must
//! be one of this server's names, and an `Origin` must be this server or an allowed one.

use super::log::{self, Level};
use super::problem::Problem;
use super::routes::State;
use axum::Extension;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

/// Who may ask.
pub(crate) struct Guard {
    /// SHA-256 of each key; empty: no key is needed.
    keys: Vec<[u8; 32]>,
    /// Names that this server is called by, beside addresses and `localhost`.
    hosts: Vec<String>,
    /// Origins of web pages that may ask.
    origins: Vec<String>,
}

/// Who is at the other end of a connection.
#[derive(Clone)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// A request's number, in its response and in the log.
#[derive(Clone)]
pub(crate) struct Id(pub(crate) String);

/// Whose turn a request takes in the queue.
#[derive(Clone)]
pub(crate) struct Asker(pub(crate) String);

impl Guard {
    pub(crate) fn new(keys: &[String], hosts: &[String], origins: &[String]) -> Guard {
        let small = |texts: &[String]| texts.iter().map(|text| text.to_ascii_lowercase()).collect();
        let keys = keys.iter().map(|key| Sha256::digest(key).into()).collect();
        Guard { keys, hosts: small(hosts), origins: small(origins) }
    }

    fn check(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Problem> {
        let forbidden = |code, why: &str| Problem::new(StatusCode::FORBIDDEN, code, why);
        let host = text(headers, "host").to_ascii_lowercase();
        if !self.is_ours(&host) {
            let why = "the Host header names another server; --allow-host allows it";
            return Err(forbidden("host_not_allowed", why));
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(None) };
        let said = text(headers, "origin").to_ascii_lowercase();
        let own = said == format!("http://{host}") || said == format!("https://{host}");
        if !own && !self.origins.contains(&said) {
            let why = "a page of another origin asks; --allow-origin allows it";
            return Err(forbidden("origin_not_allowed", why));
        }
        Ok(Some(origin.clone()))
    }

    /// Whether a `Host` is this server. An address cannot be rebound, a name can.
    fn is_ours(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        bare.parse::<IpAddr>().is_ok()
            || name == "localhost"
            || self.hosts.iter().any(|own| own == name || own == host)
    }

    /// The number of the key that a request has.
    fn key(&self, headers: &HeaderMap) -> Result<usize, Problem> {
        if self.keys.is_empty() {
            return Ok(0);
        }
        let given = text(headers, "authorization");
        let key = given.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
        // Sums are compared, so that the time taken tells nothing of a key.
        let sum: Option<[u8; 32]> = key.map(|_| Sha256::digest(given[7..].trim()).into());
        self.keys.iter().position(|key| Some(*key) == sum).ok_or_else(|| {
            let why = "the API key is missing or wrong; send it as `Authorization: Bearer KEY`";
            Problem::new(StatusCode::UNAUTHORIZED, "invalid_api_key", why)
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Around every request: checks it, numbers it, counts it, writes its line of the log.
pub(crate) async fn around(
    axum::extract::State(state): axum::extract::State<Arc<State>>,
    Extension(Peer(address)): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let id = state.number();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let (mut response, origin) = match state.guard.check(request.headers()) {
        Err(problem) => (problem.into_response(), None),
        Ok(origin) if method == Method::OPTIONS => (preflight(), origin),
        Ok(origin) => {
            // A probe has no key.
            let open = path.as_deref() == Some("/health");
            let key = if open { Ok(0) } else { state.guard.key(request.headers()) };
            let response = match key {
                Err(problem) => problem.into_response(),
                Ok(key) => {
                    let asker = Asker(format!("{key} {}", address.ip()));
                    request.extensions_mut().insert(asker);
                    request.extensions_mut().insert(Id(id.clone()));
                    next.run(request).await
                }
            };
            (response, origin)
        }
    };
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", value);
    }
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
        let exposed = HeaderValue::from_static("x-request-id, x-mqt-ignored, retry-after");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    state.metrics.request(response.status().as_u16());
    let path = path.as_deref().unwrap_or("other");
    let ms = (start.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    log::line(
        Level::Info,
        "request",
        json!({
            "id": id, "client": address.ip().to_string(), "method": method.as_str(), "path": path,
            "status": response.status().as_u16(), "ms": ms,
        }),
    );
    response
}

/// What a browser asks before a page's own request.
fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("GET, POST");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    // OpenAI's client sends a dozen headers of its own.
    headers
        .insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*, authorization"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_name_that_is_not_ours_is_refused() {
        let guard = Guard::new(&[], &["Box.lan".into()], &[]);
        let check = |host: &str| guard.check(&headers(&[("host", host)])).map_err(|p| p.code);
        for host in
            ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:80", "10.0.0.7", "box.lan:1"]
        {
            assert_eq!(check(host), Ok(None), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
        ] {
            assert_eq!(check(host), Err("host_not_allowed"), "{host}");
        }
        assert!(guard.check(&HeaderMap::new()).is_err());
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        let guard = Guard::new(&[], &[], &["https://app.example".into()]);
        let check = |origin: &str| {
            let sent = headers(&[("host", "localhost:8080"), ("origin", origin)]);
            guard.check(&sent).map(|origin| origin.is_some()).map_err(|p| p.code)
        };
        for origin in ["http://localhost:8080", "https://app.example", "HTTPS://App.example"] {
            assert_eq!(check(origin), Ok(true), "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://localhost:8081",
            "http://evil.example",
            "http://app.example",
            "file://",
        ] {
            assert_eq!(check(origin), Err("origin_not_allowed"), "{origin}");
        }
    }

    #[test]
    fn a_key_opens() {
        let key = |guard: &Guard, value: &str| {
            guard.key(&headers(&[("authorization", value)])).map_err(|p| p.status.as_u16())
        };
        let guard = Guard::new(&["first".into(), "second".into()], &[], &[]);
        assert_eq!(key(&guard, "Bearer second"), Ok(1));
        assert_eq!(key(&guard, "bearer first"), Ok(0));
        for value in ["", "Bearer", "Bearer ", "Bearer third", "first", "Basic first"] {
            assert_eq!(key(&guard, value), Err(401), "{value}");
        }
        assert_eq!(key(&Guard::new(&[], &[], &[]), "Bearer anything"), Ok(0));
    }
}
