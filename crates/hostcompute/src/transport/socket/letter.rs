//! What is asked, as a request of HTTP: routes from the tables, parameters, keys.

use hostcompute_schema::compute::percent_encoded;
use hostcompute_schema::operation::{Input, Method, Operation, Verb};
use hostcompute_schema::service::{HostFile, HostFiles};
use hostcompute_schema::{Document, Failure, Guid, HResult, ServiceOperation, compute};

use super::wire::Request;
use crate::transport::{Ask, Call, ComputeCall, Topic};

/// A request, and whether asking twice is as good as asking once.
#[derive(Debug)]
pub(super) struct Letter<'a> {
    pub request: Request<'a>,
    pub is_repeatable: bool,
    /// Gives something back that goes with the service anyway: a service that is not there is not waited for.
    pub is_farewell: bool,
}

/// The header that says in which session something is to be done, and was.
pub(super) const SESSION: &str = "hostcompute-session";

/// Lines of JSON.
pub(super) const NDJSON: &str = "application/x-ndjson";

impl<'a> Letter<'a> {
    /// An operation of the API.
    ///
    /// # Errors
    /// E_NOTIMPL for what concerns the calling process only.
    pub fn of_call(call: &Call<'a>, strict: bool) -> Result<Self, Failure> {
        let Call { operation, id, network, document } = *call;
        let Some((method, path)) = operation.route() else {
            let why = format!("{operation} is not asked over a socket");
            return Err(Failure::new(HResult::E_NOTIMPL, why));
        };
        let creates = operation.verb() == Verb::Create;
        // An id of zeros is none: the document then says which network is meant.
        let place = if creates { network } else { id }.unwrap_or_default().to_string();
        let mut target = Target::new(path, &place);
        if creates && let Some(id) = id {
            target.add("id", &id.to_string());
        }
        let mut body = "";
        match operation.input() {
            // Without a query the service answers in the newest form; an empty one asks for what the API says.
            Input::Query if document.is_empty() => target.add("query", "{}"),
            Input::Query => target.add("query", document),
            Input::Document(_) => body = document,
            Input::None | Input::Arguments => {}
        }
        if strict && matches!(operation.input(), Input::Query | Input::Document(_)) {
            target.add("strict", "true");
        }
        // The answer to HEAD has no room for the reason of a failure.
        let method = if method == Method::Head { Method::Get } else { method };
        let key = (!operation.is_read_only()).then(|| ("idempotency-key", key()));
        let headers = key.into_iter().collect();
        let request = Request { method: method.name(), target: target.text, headers, body };
        Ok(Self { request, is_repeatable: true, is_farewell: false })
    }

    /// One of the service's own operations.
    ///
    /// # Errors
    /// E_INVALIDARG when the path needs something that is not given.
    pub fn of_ask(ask: &Ask<'a>) -> Result<Self, Failure> {
        let operation = ask.operation;
        let (method, path) = operation.route();
        let place = match ask.id {
            Some(id) => id.to_string(),
            None => ask.parameter("handle").unwrap_or_default().to_owned(),
        };
        if path.contains('{') && place.is_empty() {
            let why = format!("{operation} needs to know which one");
            return Err(Failure::new(HResult::E_INVALIDARG, why));
        }
        let mut target = Target::new(path, &place);
        for parameter in operation.parameters() {
            if let Some(value) = ask.parameter(parameter.name) {
                target.add(parameter.name, value);
            }
        }
        let again = [ServiceOperation::Settle, ServiceOperation::Repair].contains(&operation);
        let (method, headers, body) = (method.name(), Vec::new(), ask.document);
        let request = Request { method, target: target.text, headers, body };
        Ok(Self {
            request,
            is_repeatable: again || method == Method::Get.name(),
            is_farewell: false,
        })
    }

    /// An operation of the compute service. Only what looks is asked twice.
    ///
    /// # Errors
    /// E_NOTIMPL for what concerns the calling process only; E_INVALIDARG when the path needs something that is not given.
    pub fn of_compute(call: &ComputeCall<'a>) -> Result<Self, Failure> {
        let operation = call.operation;
        let Some((method, path)) = operation.route() else {
            let why = format!("{operation} is not asked over a socket");
            return Err(Failure::new(HResult::E_NOTIMPL, why));
        };
        let pid = call.pid.map(|pid| pid.to_string());
        let named = path.contains("{id}") || path.contains("{layer}");
        let missing = named && call.system.is_empty() || path.contains("{pid}") && pid.is_none();
        if missing {
            let why = format!("{operation} needs to know which one");
            return Err(Failure::new(HResult::E_INVALIDARG, why));
        }
        let mut target = Target::of_compute(path, call.system, pid.as_deref().unwrap_or_default());
        for parameter in operation.parameters() {
            if let Some(value) = call.parameter(parameter.name) {
                target.add(parameter.name, value);
            }
        }
        let mut body = "";
        match operation.input() {
            compute::Input::Query(_) if !call.document.is_empty() => {
                target.add("query", call.document);
            }
            compute::Input::Document(_) | compute::Input::Options(_) => body = call.document,
            _ => {}
        }
        let headers = Vec::new();
        let request = Request { method: method.name(), target: target.text, headers, body };
        let is_farewell = method == Method::Delete;
        Ok(Self { request, is_repeatable: method == Method::Get, is_farewell })
    }

    /// A call about images or layers. Only what looks is asked twice.
    ///
    /// # Errors
    /// E_NOTIMPL for what concerns the calling process only; E_INVALIDARG when the path needs something that is not given.
    #[cfg(images)]
    pub fn of_store(call: &crate::store::StoreCall<'a>) -> Result<Self, Failure> {
        let operation = call.operation;
        let Some((method, path)) = operation.route() else {
            let why = format!("{operation} is not asked over a socket");
            return Err(Failure::new(HResult::E_NOTIMPL, why));
        };
        if path.contains('{') && call.place.is_empty() {
            let why = format!("{operation} needs to know which one");
            return Err(Failure::new(HResult::E_INVALIDARG, why));
        }
        let mut target = Target::new(path, &percent_encoded(call.place));
        for (name, value) in call.parameters {
            target.add(name, value);
        }
        let takes_document = matches!(operation.input(), compute::Input::Options(_));
        let body = if takes_document { call.document } else { "" };
        let is_long = matches!(operation.output(), compute::Output::Work(_));
        let headers = is_long.then(|| ("accept", NDJSON.to_owned())).into_iter().collect();
        let request = Request { method: method.name(), target: target.text, headers, body };
        let is_repeatable = method == Method::Get;
        Ok(Self { request, is_repeatable, is_farewell: false })
    }

    /// The same letter, after which the connection is to be something else.
    pub fn upgrade(&mut self, to: &str) {
        let upgrade = [("connection", "upgrade".to_owned()), ("upgrade", to.to_owned())];
        self.request.headers.extend(upgrade);
    }

    /// The same letter, to be carried out in the session of another connection.
    pub fn in_session(&mut self, session: Option<String>) {
        self.request.headers.extend(session.map(|session| (SESSION, session)));
    }

    /// Files to be carried out.
    pub fn of_work(work: ServiceOperation, body: &'a str, strict: bool) -> Self {
        let (method, path) = work.route();
        let mut target = Target::new(path, "");
        if strict {
            target.add("strict", "true");
        }
        let headers = vec![("accept", NDJSON.to_owned())];
        let request = Request { method: method.name(), target: target.text, headers, body };
        Self { request, is_repeatable: false, is_farewell: false }
    }

    /// A subscription, from the notification after this one on.
    pub fn of_topic(to: Topic, after: Option<u64>) -> Letter<'static> {
        let (operation, id) = match to {
            Topic::All => (Operation::RegisterServiceCallback, Guid::default()),
            Topic::Network(id) => (Operation::RegisterNetworkCallback, id),
            Topic::GuestService(id) => (Operation::RegisterGuestNetworkServiceCallback, id),
        };
        let (_, path) = operation.route().unwrap_or((Method::Get, "/events"));
        let headers = after.map(|number| ("last-event-id", number.to_string()));
        let request = Request {
            method: Method::Get.name(),
            target: Target::new(path, &id.to_string()).text,
            headers: headers.into_iter().collect(),
            body: "",
        };
        Letter { request, is_repeatable: true, is_farewell: false }
    }

    /// What is asked, for messages.
    pub fn line(&self) -> String {
        let path = self.request.target.split('?').next().unwrap_or_default();
        format!("{} {path}", self.request.method)
    }
}

/// The body that tells of files.
pub(super) fn body_of(files: &[HostFile]) -> String {
    HostFiles { files: files.to_vec(), ..HostFiles::default() }.to_value().to_string()
}

/// A path with its query string.
struct Target {
    text: String,
    separator: char,
}

impl Target {
    /// A route with `place` where it has a name in braces.
    fn new(route: &str, place: &str) -> Self {
        let parts = route.split('/').map(|part| if part.starts_with('{') { place } else { part });
        Self { text: parts.collect::<Vec<&str>>().join("/"), separator: '?' }
    }

    /// A route of the compute service: ids of systems are free texts.
    fn of_compute(route: &str, system: &str, pid: &str) -> Self {
        let mut text = String::new();
        for part in route.split('/').skip(1) {
            text.push('/');
            match part {
                "{id}" | "{layer}" => text.push_str(&percent_encoded(system)),
                "{pid}" => text.push_str(pid),
                part => text.push_str(part),
            }
        }
        Self { text, separator: '?' }
    }

    fn add(&mut self, name: &str, value: &str) {
        self.text.push(self.separator);
        self.text.push_str(name);
        self.text.push('=');
        self.text.push_str(&percent_encoded(value));
        self.separator = '&';
    }
}

/// A text that no other request has.
fn key() -> String {
    format!("{:016x}{:016x}", crate::random(), crate::random())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(operation: Operation, document: &str) -> Call<'_> {
        Call { operation, id: None, network: None, document }
    }

    #[test]
    fn routes_come_from_the_table_and_texts_are_encoded() {
        let id: Guid = "0f8fad5b-d9cb-469f-a165-70867728950e".parse().expect("a GUID");
        let target =
            |call: &Call<'_>, strict| Letter::of_call(call, strict).expect("routed").request.target;
        let listing = call(Operation::EnumerateNetworks, r#"{"Filter":"ä b"}"#);
        assert_eq!(
            target(&listing, false),
            "/networks?query=%7B%22Filter%22%3A%22%C3%A4%20b%22%7D"
        );
        let create = Call { id: Some(id), ..call(Operation::CreateEndpoint, "{}") };
        let nowhere = "/networks/00000000-0000-0000-0000-000000000000/endpoints";
        assert_eq!(target(&create, true), format!("{nowhere}?id={id}&strict=true"));
        let create = Letter::of_call(&create, false).expect("routed");
        assert_eq!((create.request.method, create.request.body), ("POST", "{}"));
        assert_eq!(create.line(), format!("POST {nowhere}"));
        let open =
            Letter::of_call(&Call::on(Operation::OpenNetwork, id, ""), true).expect("routed");
        assert_eq!(open.request.target, format!("/networks/{id}"));
        assert_eq!(open.request.method, "GET");
        assert!(Letter::of_call(&call(Operation::CloseNetwork, ""), false).is_err());
    }

    #[test]
    fn every_change_of_the_api_has_a_key_of_its_own() {
        let key = |operation| {
            let letter = Letter::of_call(&call(operation, "{}"), false).expect("routed");
            letter.request.headers.into_iter().find(|(name, _)| *name == "idempotency-key")
        };
        for operation in Operation::ALL.iter().filter(|operation| operation.route().is_some()) {
            assert_eq!(key(*operation).is_none(), operation.is_read_only(), "{operation}");
        }
        assert_ne!(key(Operation::CreateNetwork), key(Operation::CreateNetwork));
    }

    #[test]
    fn what_is_missing_from_a_path_is_told() {
        assert!(Letter::of_ask(&Ask::plain(ServiceOperation::Place)).is_err());
        let parameters = [("handle", "7")];
        let close = Ask { parameters: &parameters, ..Ask::plain(ServiceOperation::CloseHandle) };
        let close = Letter::of_ask(&close).expect("whole");
        assert_eq!((&*close.request.target, close.is_repeatable), ("/handles/7", false));
    }
}
