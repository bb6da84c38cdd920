//! Requests: where they may lead, which server gets the token, and which failures are tried again.

use crate::address::Address;
use crate::failure::{Failure, Result};
use mqt::internals::plain::system_error;
use mqt::internals::untrusted::short;
use std::io::{self, ErrorKind, Read};
use std::thread::sleep;
use std::time::{Duration, Instant};
use ureq::Body;
use ureq::http::{HeaderMap, Response};

/// Requests in a row that bring nothing new before we give up.
pub(crate) const PATIENCE: u32 = 6;
/// Servers may ask for patience; not for more than this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The shortest time that a server is given.
const SHORTEST: Duration = Duration::from_millis(10);
/// Redirects of one request.
const REDIRECTS: usize = 10;

/// A client with its patience.
pub(crate) struct Client {
    agent: ureq::Agent,
    token: Option<String>,
    /// How long a server may take for a range or a small file.
    stall: Duration,
    /// Before a second try.
    pause: Duration,
}

/// Why a request brought less than was asked for.
pub(crate) enum Trouble {
    /// Worth another try, perhaps after a wait that the server asked for.
    Passing {
        why: String,
        wait: Option<Duration>,
    },
    Final(Failure),
}

impl Trouble {
    /// Worth another try.
    pub(crate) fn passing(why: impl Into<String>) -> Trouble {
        Trouble::Passing { why: why.into(), wait: None }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Final(failure)
    }
}

/// Bytes `first..end` of a file.
pub(crate) struct Range<'a> {
    pub(crate) first: u64,
    pub(crate) end: u64,
    /// The version that the range must be of: an entity tag or a date.
    pub(crate) version: Option<&'a str>,
}

impl Client {
    /// `token`: for the server that is asked first, never for one that it redirects to. `stall`:
    /// how long a server may take for a range of about a third of that.
    pub(crate) fn new(token: Option<String>, stall: Duration) -> Client {
        let stall = stall.max(SHORTEST);
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // Redirects are followed below, by our rules.
            .max_redirects(0)
            .user_agent(concat!("mqt/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(stall))
            .timeout_connect(Some(stall))
            .timeout_recv_response(Some(stall))
            .timeout_per_read(Some(stall))
            .build();
        let pause = (stall / 30).clamp(Duration::from_millis(10), Duration::from_secs(1));
        Client { agent: config.new_agent(), token, stall, pause }
    }

    /// Waits as long as the server asked for, else longer after each try that brought nothing.
    pub(crate) fn wait(&self, asked: Option<Duration>, fruitless: u32) {
        sleep(asked.unwrap_or(self.pause * 2u32.pow(fruitless.min(PATIENCE))).min(LONGEST_WAIT));
    }

    /// A small file, whole: at most `most` bytes.
    pub(crate) fn small(&self, address: &Address, most: u64) -> Result<Vec<u8>> {
        self.page(address, most).map(|page| page.bytes)
    }

    /// A small file of JSON, and where the server says that it goes on.
    pub(crate) fn page(&self, address: &Address, most: u64) -> Result<Page> {
        let mut fruitless = 0;
        loop {
            let (why, wait) = match self.small_once(address, most) {
                Ok(page) if page.bytes.trim_ascii_start().starts_with(b"<") => {
                    let why = "the server sends a web page where JSON should be, perhaps to log in; look at it in a browser, or check the address";
                    return Err(network(address, why));
                }
                Ok(page) => return Ok(page),
                Err(Trouble::Final(failure)) => return Err(failure),
                Err(Trouble::Passing { why, wait }) => (why, wait),
            };
            fruitless += 1;
            if fruitless >= PATIENCE {
                return Err(network(address, &format!("{why}; tried {PATIENCE} times")));
            }
            self.wait(wait, fruitless);
        }
    }

    fn small_once(&self, address: &Address, most: u64) -> std::result::Result<Page, Trouble> {
        let too_long = || network(address, &format!("the answer is larger than {most} bytes"));
        let mut response = self.get(address, None)?;
        if response.status().as_u16() != 200 {
            return Err(refusal(address, &response));
        }
        let said = length(response.headers());
        if said.is_some_and(|said| said > most) {
            return Err(too_long().into());
        }
        let next = next_page(response.headers());
        let deadline = self.deadline();
        let mut body = response.body_mut().as_reader();
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            match read(&mut body, &mut buffer, Some(deadline))? {
                0 if said.is_some_and(|said| said > bytes.len() as u64) => {
                    return Err(Trouble::passing("the connection ended early"));
                }
                0 => return Ok(Page { bytes, next }),
                n => bytes.extend(&buffer[..n]),
            }
            if bytes.len() as u64 > most {
                return Err(too_long().into());
            }
        }
    }

    /// When an answer that begins now must have come.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.stall
    }

    /// The answer to a request for a file or a range of it, whatever its status but a redirect.
    pub(crate) fn get(
        &self,
        address: &Address,
        range: Option<Range<'_>>,
    ) -> std::result::Result<Response<Body>, Trouble> {
        let secret =
            self.token.as_ref().map(|token| format!("Bearer {token}")).or_else(|| address.login());
        let (mut at, mut secret) = (address.clone(), secret);
        for _ in 0..=REDIRECTS {
            let mut request = self.agent.get(at.plain()).header("accept-encoding", "identity");
            if let Some(Range { first, end, version }) = &range {
                request = request.header("range", format!("bytes={first}-{}", end - 1));
                request = version
                    .iter()
                    .fold(request, |request, version| request.header("if-range", *version));
            }
            request = secret
                .iter()
                .fold(request, |request, secret| request.header("authorization", secret));
            let response = request.call().map_err(|error| trouble(&at, error))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return encoding(&at, response);
            }
            let next = redirect(&at, header(response.headers(), "location").as_deref())?;
            // A server that is not the one it was given for learns no secret, nor does any after
            // it.
            secret = secret.filter(|_| at.is_same_server(&next));
            at = next;
        }
        Err(network(address, &format!("the server redirects more than {REDIRECTS} times")).into())
    }
}

/// A small file.
pub(crate) struct Page {
    pub(crate) bytes: Vec<u8>,
    /// The address of what follows, as the server writes it.
    pub(crate) next: Option<String>,
}

/// What the `Link` headers call the next page: `<address>; rel="next"`.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all("link").into_iter().filter_map(|value| value.to_str().ok());
    let mut links = values.flat_map(|value| value.split('<').skip(1));
    links.find_map(|link| {
        let (address, rest) = link.split_once('>')?;
        let mut relations = rest.split(';').filter_map(|part| part.trim().split_once('='));
        let is_next = relations.any(|(name, value)| {
            let value = value.trim().trim_end_matches(',').trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel")
                && value.split(' ').any(|word| word.eq_ignore_ascii_case("next"))
        });
        is_next.then(|| address.trim().to_owned())
    })
}

/// Reads a piece of an answer; 0 at its end.
pub(crate) fn read(
    body: &mut impl Read,
    buffer: &mut [u8],
    deadline: Option<Instant>,
) -> std::result::Result<usize, Trouble> {
    if deadline.is_some_and(|deadline| Instant::now() > deadline) {
        return Err(Trouble::passing("the answer comes too slowly"));
    }
    body.read(buffer).map_err(|error| Trouble::passing(io_words(&error)))
}

/// What went wrong on the way to a server or back, as a sentence.
fn words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => io_words(error),
        ureq::Error::Timeout(_) => "the server does not answer in time".into(),
        ureq::Error::HostNotFound => "no server of this name is found".into(),
        ureq::Error::ConnectionFailed => "the server cannot be reached".into(),
        ureq::Error::Protocol(_) => "the server's answer is not HTTP".into(),
        other => short(&other.to_string()).into(),
    }
}

fn io_words(error: &io::Error) -> String {
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
        return words(inner);
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => "the server refuses the connection".into(),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => "the connection ended early".into(),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "the server does not answer in time".into(),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "the server cannot be reached".into()
        }
        _ => short(&system_error(error)).into(),
    }
}

/// Where a redirect leads; never from an encrypted connection to one that is not.
fn redirect(at: &Address, location: Option<&str>) -> Result<Address> {
    let next = location.and_then(|location| at.join(location));
    let next = next
        .ok_or_else(|| network(at, "the server redirects to what is no http or https address"))?;
    if at.is_secure() && !next.is_secure() {
        return Err(network(
            at,
            &format!(
                "the server redirects to {next}, which is not encrypted; this is not followed"
            ),
        ));
    }
    Ok(next)
}

/// Refuses compressed answers: none were asked for, and sizes and ranges would be of something
/// else.
fn encoding(
    at: &Address,
    response: Response<Body>,
) -> std::result::Result<Response<Body>, Trouble> {
    let encoding = header(response.headers(), "content-encoding")
        .filter(|encoding| !encoding.eq_ignore_ascii_case("identity"));
    match encoding.filter(|_| response.status().is_success()) {
        Some(encoding) => Err(network(
            at,
            &format!("the server sends it as {:?}, which was not asked for", short(&encoding)),
        )
        .into()),
        None => Ok(response),
    }
}

/// ureq's reasons. Those that hold an address are not passed on: it may hold a secret.
fn trouble(at: &Address, error: ureq::Error) -> Trouble {
    match error {
        ureq::Error::Io(_)
        | ureq::Error::Timeout(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Protocol(_) => Trouble::passing(words(&error)),
        ureq::Error::LargeResponseHeader(..) => {
            network(at, "the head of the server's answer is too large").into()
        }
        ureq::Error::Tls(why) => network(at, why).into(),
        _ => network(at, "the request cannot be sent").into(),
    }
}

/// What a status other than the expected ones means.
pub(crate) fn refusal(address: &Address, response: &Response<Body>) -> Trouble {
    let code = response.status().as_u16();
    if matches!(code, 408 | 425 | 429 | 500..=599) {
        let wait = header(response.headers(), "retry-after")
            .and_then(|v| v.trim().parse().ok())
            .map(Duration::from_secs);
        return Trouble::Passing { why: format!("the server answers {code}"), wait };
    }
    let hint = match code {
        401 | 403 => "; a token in HF_TOKEN may help",
        404 => "; there is no such file",
        _ => "",
    };
    network(address, &format!("the server answers {code}{hint}")).into()
}

/// A header's value.
pub(crate) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The size of the answer, if it says one.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    header(headers, "content-length")?.trim().parse().ok()
}

/// Code 7.
pub(crate) fn network(address: &Address, why: &str) -> Failure {
    Failure { code: 7, message: Some(format!("{address}: {why}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_other_links() {
        let next = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("link", value.parse().unwrap());
            next_page(&headers)
        };
        for value in [
            r#"<https://host/a?cursor=1,2>; rel="next""#,
            r#"<https://host/b>; rel="prev", <https://host/a?cursor=1,2>; title="a"; REL=next"#,
            r#"<https://host/a?cursor=1,2>;rel="last next", <https://host/b>; rel="first""#,
        ] {
            assert_eq!(next(value).as_deref(), Some("https://host/a?cursor=1,2"), "{value}");
        }
        for value in
            ["", "next", r#"<https://host/b>; rel="prev""#, r#"<https://host/b; rel="next""#]
        {
            assert_eq!(next(value), None, "{value}");
        }
    }

    #[test]
    fn a_redirect_never_gives_up_encryption() {
        let secure = Address::parse("https://host/a").unwrap();
        let to = |at: &Address, location: &str| {
            redirect(at, Some(location))
                .map(|next| next.to_string())
                .map_err(|failure| failure.code)
        };
        assert_eq!(to(&secure, "http://host/b"), Err(7));
        assert_eq!(to(&secure, "HTTP://other/b?s3cret"), Err(7));
        assert_eq!(to(&secure, "//other/b"), Ok("https://other/b".into()));
        assert_eq!(to(&secure, "file:///etc/passwd"), Err(7));
        let open = Address::parse("http://host/a").unwrap();
        assert_eq!(to(&open, "https://host/b"), Ok("https://host/b".into()));
        assert_eq!(to(&open, "http://other/b"), Ok("http://other/b".into()));
        assert_eq!(redirect(&open, None).unwrap_err().code, 7);
    }
}
