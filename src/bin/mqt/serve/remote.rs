//! Pictures from the network, where the server was started with `--allow-fetch`: an address from a
//! client must not lead into the server's own machine or network.

use super::problem::Problem;
use super::source::too_large;
use crate::address::Address;
use axum::http::StatusCode;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// All that fetching one picture may take.
const PATIENCE: Duration = Duration::from_secs(20);
const REDIRECTS: usize = 5;

/// Fetches pictures.
pub(crate) struct Remote {
    agent: ureq::Agent,
    /// Only these hosts, which may be private then; empty: every public one.
    hosts: Vec<String>,
}

impl Remote {
    pub(crate) fn new(hosts: Vec<String>) -> Remote {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // A proxy would resolve names, and nobody would see where they lead.
            .proxy(None)
            .max_idle_connections(0)
            .user_agent(concat!("mqt/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(PATIENCE))
            .build();
        let resolver = Public { private: !hosts.is_empty(), system: DefaultResolver::default() };
        let agent = ureq::Agent::with_parts(config, DefaultConnector::new(), resolver);
        let hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect();
        Remote { agent, hosts }
    }

    /// The file at an address: at most `most` bytes.
    pub(crate) fn fetch(&self, at: &str, url: &str, most: u64) -> Result<Vec<u8>, Problem> {
        let no_address =
            || Problem::invalid(at, "its url is no address of the form https://host/path");
        let mut address = Address::parse(url).ok_or_else(no_address)?;
        for _ in 0..=REDIRECTS {
            self.check_host(at, &address)?;
            let response = self.agent.get(address.plain()).header("accept", "image/*").call();
            let mut response = response.map_err(|error| failed(at, &why(&error)))?;
            let status = response.status().as_u16();
            if matches!(status, 301 | 302 | 303 | 307 | 308) {
                let location = response.headers().get("location");
                let next = location.and_then(|to| address.join(to.to_str().ok()?));
                let next = next.filter(|next| next.is_secure() || !address.is_secure());
                address = next.ok_or_else(|| failed(at, "its server redirects to nowhere safe"))?;
                continue;
            }
            if status != 200 {
                return Err(failed(at, &format!("its server answers {status}")));
            }
            let mut bytes = Vec::new();
            let body = response.body_mut().as_reader();
            let read = body.take(most + 1).read_to_end(&mut bytes);
            read.map_err(|_| failed(at, "its server does not send it whole in time"))?;
            return if bytes.len() as u64 > most { Err(too_large(at, most)) } else { Ok(bytes) };
        }
        Err(failed(at, "its server redirects too often"))
    }

    fn check_host(&self, at: &str, address: &Address) -> Result<(), Problem> {
        let uri: Option<Uri> = address.plain().parse().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        if self.hosts.is_empty() || self.hosts.iter().any(|allowed| allowed == host) {
            return Ok(());
        }
        Err(Problem::unsupported(at, "its host is none of those that this server fetches from"))
    }
}

/// Resolves names to public addresses only.
#[derive(Debug)]
struct Public {
    /// Private addresses too.
    private: bool,
    system: DefaultResolver,
}

impl Resolver for Public {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.system.resolve(uri, config, timeout)?;
        if self.private || found.iter().all(|address| is_public(address.ip())) {
            return Ok(found);
        }
        Err(ureq::Error::Io(io::Error::new(io::ErrorKind::PermissionDenied, PRIVATE)))
    }
}

const PRIVATE: &str = "its host is in a private network, which this server fetches nothing from";

/// Whether an address is one of the public internet: none of a machine's own, of a private
/// network, of a link, or for special use (IANA's registries).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let special = match ip.octets() {
        [0 | 10 | 127 | 224..=255, ..] | [169, 254, ..] | [192, 168, ..] => true,
        [100, b, ..] => (64..128).contains(&b),
        [172, b, ..] => (16..32).contains(&b),
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18 | 19, ..] => true,
        [198, 51, 100, _] | [203, 0, 113, _] => true,
        _ => false,
    };
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    let [first, second, ..] = segments;
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // An IPv4 address in another dress: mapped, translated, 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        // Global unicast, without Teredo, ORCHID, documentation.
        _ => {
            (first & 0xe000) == 0x2000
                && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
                && first != 0x3fff
        }
    }
}

/// What went wrong, without the address.
fn why(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => PRIVATE.into(),
        ureq::Error::Timeout(_) => "its server does not answer in time".into(),
        ureq::Error::HostNotFound => "no server of this name is found".into(),
        _ => "its server cannot be reached".into(),
    }
}

fn failed(at: &str, why: &str) -> Problem {
    let problem = Problem::picture(format!("{at}: the picture is not fetched: {why}"));
    Problem { status: StatusCode::BAD_REQUEST, ..problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_lead_inside_are_not_public() {
        for ip in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.128.0.1",
            "198.20.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "2001:4860:4860::8888",
        ] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn private_hosts_are_refused_however_they_are_written() {
        let remote = Remote::new(Vec::new());
        for url in [
            "http://127.0.0.1:9/a.png",
            "http://localhost:9/a.png",
            "http://[::1]:9/a.png",
            "http://[::ffff:127.0.0.1]:9/a.png",
            "http://169.254.169.254/latest",
            "http://0:9/a",
            "http://2130706433:9/a.png",
            "http://0x7f.1:9/a.png",
        ] {
            let problem = remote.fetch("here", url, 10).unwrap_err();
            assert!(problem.message.ends_with(PRIVATE), "{url}: {}", problem.message);
        }
        let listed = Remote::new(vec!["Example.org".into()]);
        let problem = listed.fetch("here", "http://127.0.0.1:9/a.png", 10).unwrap_err();
        assert_eq!(problem.code, "unsupported_value");
    }
}
