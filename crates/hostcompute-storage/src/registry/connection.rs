//! Requests to one repository, with what the registry wants to know of us.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::challenge::{self, Challenge};
use super::{RegistryOptions, certificates};
use crate::error::{Error, Kind, Result};
use crate::image::document;

/// Patience with one step of a conversation; a whole download may take as long as it moves.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longest answer of a token service.
const LONGEST_TOKEN: u64 = 1 << 20;

/// One repository.
pub(super) struct Connection {
    agent: Agent,
    scheme: &'static str,
    host: String,
    path: String,
    credentials: Option<(String, String)>,
    /// The header that the registry took last.
    authorization: Mutex<Option<String>>,
}

impl Connection {
    pub(super) fn new(host: &str, path: &str, options: &RegistryOptions) -> Result<Self> {
        // Whoever says which certificates to trust wants them shown.
        let is_near = is_this_machine(host) && options.certificates.is_none();
        let is_plain = options.is_plain || is_near;
        let mut tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
        if !is_plain {
            let certificates = certificates::trusted(options.certificates.as_deref())?;
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
        }
        let mut configuration = Agent::config_builder();
        if is_this_machine(host) {
            // A proxy named by the environment is another machine.
            configuration = configuration.proxy(None);
        }
        let agent = configuration
            .tls_config(tls.build())
            // A registry must not lead from what is encrypted to what is not.
            .https_only(!is_plain)
            .http_status_as_error(false)
            .user_agent(concat!("hostcompute/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .build()
            .new_agent();
        Ok(Self {
            agent,
            scheme: if is_plain { "http" } else { "https" },
            host: host.to_owned(),
            path: path.to_owned(),
            credentials: options.credentials.clone(),
            authorization: Mutex::new(None),
        })
    }

    /// Asks for something of the repository; once more, with what the registry wants to know, when it asks back.
    pub(super) fn get(&self, what: &str, headers: &[(&str, String)]) -> Result<Answer> {
        let url = format!("{}://{}/v2/{}/{what}", self.scheme, self.host, self.path);
        let mut response = self.send(&url, headers)?;
        if response.status() == 401 {
            let asked = response.headers().get_all("www-authenticate");
            let asked = asked.iter().filter_map(|value| value.to_str().ok());
            let challenges: Vec<Challenge> = asked.filter_map(challenge::parse).collect();
            let answer = self.authorize(&challenges)?;
            *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            response = self.send(&url, headers)?;
        }
        let status = response.status().as_u16();
        if matches!(status, 200 | 206) {
            return Ok(Answer(response));
        }
        let told: String = text(&mut response, 500);
        let kind = match status {
            401 | 403 => Kind::Denied,
            404 => Kind::NotFound,
            _ => Kind::Network,
        };
        let message =
            format!("the registry {} answers {status} for {}/{what}", self.host, self.path);
        let error =
            Error::new(kind, if told.is_empty() { message } else { format!("{message}: {told}") });
        Err(match (kind, &self.credentials) {
            (Kind::Denied, None) => error.hint("it may want a name and a password"),
            _ => error,
        })
    }

    fn send(&self, url: &str, headers: &[(&str, String)]) -> Result<Response<Body>> {
        let mut request = self.agent.get(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(value) = &*self.authorization.lock().unwrap_or_else(PoisonError::into_inner) {
            request = request.header("Authorization", value);
        }
        request.call().map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &ureq::Error) -> Error {
        Error::new(Kind::Network, format!("cannot reach the registry {}: {error}", self.host))
    }

    /// The header that answers what the registry asks for.
    fn authorize(&self, challenges: &[Challenge]) -> Result<String> {
        let bearer = challenges.iter().find(|challenge| challenge.is("bearer"));
        if let Some(bearer) = bearer {
            return self.token(bearer).map(|token| format!("Bearer {token}"));
        }
        match (&self.credentials, challenges.iter().any(|challenge| challenge.is("basic"))) {
            (Some((user, password)), true) => Ok(challenge::basic(user, password)),
            (None, true) => {
                let message = format!("the registry {} wants a name and a password", self.host);
                Err(Error::new(Kind::Denied, message))
            }
            (_, false) => {
                let message =
                    format!("the registry {} refuses, and does not say what it wants", self.host);
                Err(Error::new(Kind::Denied, message))
            }
        }
    }

    /// A token from the service that the registry names.
    fn token(&self, challenge: &Challenge) -> Result<String> {
        let realm = challenge.parameter("realm").unwrap_or_default();
        // Never less encrypted than the registry itself.
        let is_plain = self.scheme == "http" && realm.starts_with("http://");
        if !is_plain && !realm.starts_with("https://") {
            let message = format!("the registry {} sends us to {realm:?} for a token", self.host);
            return Err(Error::new(Kind::Denied, message));
        }
        let scope = format!("repository:{}:pull", self.path);
        let scope = challenge.parameter("scope").unwrap_or(&scope);
        let mut request = self.agent.get(realm).query("scope", scope);
        if let Some(service) = challenge.parameter("service") {
            request = request.query("service", service);
        }
        if let Some((user, password)) = &self.credentials {
            request = request.header("Authorization", challenge::basic(user, password));
        }
        let mut response = request.call().map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        if status != 200 {
            let message = format!("{realm} answers {status}, and gives no token");
            let kind = if matches!(status, 401 | 403) { Kind::Denied } else { Kind::Network };
            return Err(Error::new(kind, message));
        }
        let mut bytes = Vec::new();
        let read = response.body_mut().as_reader().take(LONGEST_TOKEN).read_to_end(&mut bytes);
        read.map_err(|error| Error::caused(format!("cannot read the token of {realm}"), error))?;
        let given: Given = document::read("token", &bytes)?;
        given
            .token
            .or(given.access_token)
            .ok_or_else(|| Error::new(Kind::Network, format!("{realm} gives no token")))
    }
}

/// What a token service answers; which of the two names depends on its age.
#[derive(Deserialize)]
struct Given {
    token: Option<String>,
    access_token: Option<String>,
}

/// An answer that was what was asked for.
pub(super) struct Answer(Response<Body>);

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name)?.to_str().ok()
    }

    /// Whether a partial answer begins at this byte.
    pub(super) fn begins_at(&self, from: u64) -> bool {
        self.header("Content-Range")
            .and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok())
            .is_some_and(|start: u64| start == from)
    }

    pub(super) fn into_reader(self) -> impl Read {
        self.0.into_body().into_reader()
    }
}

/// The beginning of what an answer says, in one line.
fn text(response: &mut Response<Body>, most: u64) -> String {
    let mut bytes = Vec::new();
    let _ = response.body_mut().as_reader().take(most).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Nobody listens between a machine and itself.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_is_only_for_this_machine() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:80", "127.9.9.9", "[::1]:5000"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["r.example", "localhost.example", "10.0.0.1:5000", "[fe80::1]:1", ""] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
