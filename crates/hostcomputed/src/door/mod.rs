//! Who is let in over TCP: requests that are meant for us, from no foreign page, with the token. The console and the programs' door
//! (`tcp`) each have one.
//!
//! A foreign page cannot read what we send (no other origin is allowed) and cannot send the token, which is in a header.
//! What is left to it is a name of its own that leads to our address (DNS rebinding): its browser would take it for the same
//! origin. Such a request names the foreign host, and is refused for that.

mod token;

use std::net::{IpAddr, SocketAddr};
use std::sync::{PoisonError, RwLock};

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use hostcompute_schema::{Failure, HResult};

pub use token::Token;

use crate::http::{Refusals, problem_with};

/// What browsers tell of where a request comes from.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A door at one address.
#[derive(Debug)]
pub struct Door {
    /// Names and addresses without ports: behind a tunnel the port is another.
    hosts: Vec<String>,
    for_whom: Guests,
    token: RwLock<Token>,
    refusals: Refusals,
}

/// Who comes to a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guests {
    /// Browsers with our own page.
    Page,
    /// Programs; no page has any business here.
    Programs,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The request is meant for another host.
    Host,
    /// A page of another origin sends it.
    Origin,
    /// The token is missing or wrong.
    Token,
}

impl Refused {
    fn status(self) -> StatusCode {
        match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Token => StatusCode::UNAUTHORIZED,
        }
    }

    fn reason(self, guests: Guests) -> &'static str {
        match (self, guests) {
            (Self::Host, Guests::Page) => {
                "the console is not known under this name; console.hosts in the configuration adds names"
            }
            (Self::Host, Guests::Programs) => "the request is meant for another host",
            (Self::Origin, Guests::Page) => "only the console's own page may ask",
            (Self::Origin, Guests::Programs) => "pages in browsers have no business here",
            (Self::Token, _) => "the token is missing or wrong",
        }
    }
}

impl Door {
    /// A door at this address, known under further names.
    pub fn new(for_whom: Guests, place: SocketAddr, names: &str, token: Token) -> Self {
        let ip = place.ip();
        let mut hosts: Vec<String> = names.split_whitespace().map(str::to_lowercase).collect();
        hosts.push(written(ip));
        if ip.is_loopback() || ip.is_unspecified() {
            hosts.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
        }
        Self { hosts, for_whom, token: RwLock::new(token), refusals: Refusals::default() }
    }

    /// Another token opens from now on, and the one before no more.
    pub fn change_token(&self, token: Token) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// The answer to a request that goes no further.
    pub fn refusal(&self, refused: Refused) -> Response {
        let failure = Failure::new(HResult::E_ACCESSDENIED, refused.reason(self.for_whom));
        self.refusals.note(&failure);
        let mut response = problem_with(refused.status(), &failure);
        if refused == Refused::Token {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    /// Whether the request was sent to one of our names, as every request must be.
    ///
    /// # Errors
    /// [`Refused::Host`].
    pub fn meant(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let mut named = headers.get_all(HOST).iter();
        let (Some(host), None) = (named.next(), named.next()) else { return Err(Refused::Host) };
        let host = Authority::try_from(host.as_bytes()).map_err(|_| Refused::Host)?;
        let known = self.hosts.iter().any(|own| host.host().eq_ignore_ascii_case(own));
        if known && !host.as_str().contains('@') { Ok(()) } else { Err(Refused::Host) }
    }

    /// Whether the request may look.
    ///
    /// # Errors
    /// [`Refused::Origin`], [`Refused::Token`].
    pub fn admit(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let site = headers.get(FETCH_SITE).map(|site| site.as_bytes());
        let own_page = self.for_whom == Guests::Page;
        if site.is_some_and(|site| !own_page || site != b"same-origin" && site != b"none") {
            return Err(Refused::Origin);
        }
        if let Some(origin) = headers.get(ORIGIN) {
            let host = headers.get(HOST).map_or(&b""[..], |host| host.as_bytes());
            let origin = origin.as_bytes();
            let rest = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
            if self.for_whom == Guests::Programs || rest != Some(host) {
                return Err(Refused::Origin);
            }
        }
        let offered = headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        let (scheme, token) = offered.split_at(offered.len().min(BEARER.len()));
        // The comparison comes first: how long an answer takes tells nothing.
        let own = self.token.read().unwrap_or_else(PoisonError::into_inner);
        if own.is(token) & scheme.eq_ignore_ascii_case(BEARER) {
            Ok(())
        } else {
            Err(Refused::Token)
        }
    }
}

const BEARER: &[u8] = b"Bearer ";

/// An address as it stands in a Host header.
fn written(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), value.parse().expect("a header's value"))
            })
            .collect()
    }

    fn door_for(guests: Guests, names: &str) -> (Door, String) {
        let token = Token::random().expect("random");
        let offered = format!("Bearer {}", token.text());
        (Door::new(guests, "127.0.0.1:8080".parse().expect("an address"), names, token), offered)
    }

    fn door(names: &str) -> (Door, String) {
        door_for(Guests::Page, names)
    }

    #[test]
    fn our_names_are_known_and_no_others() {
        let (door, _) = door("Box.example");
        for host in ["127.0.0.1:8080", "localhost:9000", "LOCALHOST", "[::1]:8080", "box.example"] {
            assert_eq!(door.meant(&headers(&[("host", host)])), Ok(()), "{host}");
        }
        for host in
            ["evil.example", "127.0.0.1.evil.example", "localhost.", "a@localhost", "", "::1"]
        {
            assert_eq!(door.meant(&headers(&[("host", host)])), Err(Refused::Host), "{host}");
        }
        assert_eq!(door.meant(&HeaderMap::new()), Err(Refused::Host));
        let mut twice = headers(&[("host", "localhost")]);
        twice.append(HOST, "evil.example".parse().expect("a value"));
        assert_eq!(door.meant(&twice), Err(Refused::Host));
    }

    #[test]
    fn the_token_opens_and_foreign_pages_stay_outside() {
        let (door, right) = door("");
        let host = ("host", "127.0.0.1:8080");
        let asks = |more: &[(&'static str, &str)]| {
            let all = [&[host, ("authorization", right.as_str())], more].concat();
            door.admit(&headers(&all))
        };
        assert_eq!(asks(&[]), Ok(()));
        assert_eq!(
            asks(&[("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")]),
            Ok(())
        );
        assert_eq!(asks(&[("origin", "http://127.0.0.1:8081")]), Err(Refused::Origin));
        assert_eq!(asks(&[("origin", "null")]), Err(Refused::Origin));
        assert_eq!(asks(&[("sec-fetch-site", "same-site")]), Err(Refused::Origin));
        for wrong in ["", "Bearer", "Bearer ", "Basic x", &right[7..], &right[..right.len() - 1]] {
            let refused = door.admit(&headers(&[host, ("authorization", wrong)]));
            assert_eq!(refused, Err(Refused::Token), "{wrong}");
        }
    }

    #[test]
    fn no_page_passes_the_door_of_programs_and_a_changed_token_is_the_only_one() {
        let (door, right) = door_for(Guests::Programs, "");
        let host = ("host", "127.0.0.1:8080");
        let asks = |more: &[(&'static str, &str)]| {
            let all = [&[host, ("authorization", right.as_str())], more].concat();
            door.admit(&headers(&all))
        };
        assert_eq!(asks(&[]), Ok(()));
        for page in [("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")] {
            assert_eq!(asks(&[page]), Err(Refused::Origin), "{page:?}");
        }
        let other = Token::random().expect("random");
        let offered = format!("Bearer {}", other.text());
        door.change_token(other);
        assert_eq!(asks(&[]), Err(Refused::Token));
        assert_eq!(door.admit(&headers(&[host, ("authorization", &offered)])), Ok(()));
    }
}
