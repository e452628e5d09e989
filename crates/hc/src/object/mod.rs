//! The verbs on single objects: create, ls, show, modify, delete, stats, add, remove.
//!
//! Documents pass through as text, so that nothing of them is lost on the way; only tables look inside.

mod family;
mod reservations;
mod stats;
mod table;

use std::path::Path;

use hostcompute::schema::operation::{Kind, Operation};
use hostcompute::schema::{Document, HostDocument, validate};
use hostcompute::transport::Call;
use hostcompute::{Endpoint, Failure, Guid, HResult, Host, Namespace, Warning};
use serde_json::{Value, json};

use crate::arguments::{
    EndpointVerb, Form, GuestServiceVerb, NamespaceObjectVerb, ObjectVerb, Verb,
};
use crate::problem::{Done, Problem, without_place};
use crate::{files, print};
pub use family::Family;
use family::{ENDPOINT, GUEST_SERVICE, LOAD_BALANCER, NAMESPACE, NETWORK, ROUTE};

/// A host and how to print.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    pub host: &'a Host,
    pub form: Form,
}

impl Session<'_> {
    /// `hc network`.
    ///
    /// # Errors
    /// What the service refuses.
    pub fn network(self, verb: &Verb) -> Done {
        self.plain(&NETWORK, verb)
    }

    /// `hc loadbalancer`.
    ///
    /// # Errors
    /// What the service refuses.
    pub fn load_balancer(self, verb: &Verb) -> Done {
        self.plain(&LOAD_BALANCER, verb)
    }

    /// `hc route`.
    ///
    /// # Errors
    /// What the service refuses.
    pub fn route(self, verb: &Verb) -> Done {
        self.plain(&ROUTE, verb)
    }

    /// `hc guestservice`.
    ///
    /// # Errors
    /// What the service refuses.
    pub fn guest_service(self, verb: &GuestServiceVerb) -> Done {
        match verb {
            GuestServiceVerb::Object(verb) => self.plain(&GUEST_SERVICE, verb),
            GuestServiceVerb::Ports => reservations::print(self),
            GuestServiceVerb::Hold { id, ports, protocol, shared } => {
                reservations::hold(self, id, *ports, *protocol, *shared)
            }
        }
    }

    /// `hc endpoint`.
    ///
    /// # Errors
    /// What the service refuses.
    pub fn endpoint(self, verb: &EndpointVerb) -> Done {
        match verb {
            EndpointVerb::Create { file, id, network } => {
                let network = network
                    .as_deref()
                    .map(|text| self.host.resolve(Kind::Network, text))
                    .transpose()?;
                self.create(&ENDPOINT, Some(file), *id, network)
            }
            EndpointVerb::Other(verb) => self.object(&ENDPOINT, verb),
        }
    }

    /// `hc namespace`, except for running programs.
    ///
    /// # Errors
    /// What the service refuses.
    pub fn namespace(self, verb: &NamespaceObjectVerb) -> Done {
        match verb {
            NamespaceObjectVerb::Create { file, id } => {
                self.create(&NAMESPACE, file.as_deref(), *id, None)
            }
            NamespaceObjectVerb::Other(verb) => self.object(&NAMESPACE, verb),
            NamespaceObjectVerb::Add { id, endpoint } => {
                let endpoint = Endpoint::find(self.host, endpoint)?;
                let done = Namespace::find(self.host, id)?.add(&endpoint);
                Ok(done.map_err(without_place)?)
            }
            NamespaceObjectVerb::Remove { id, endpoint } => {
                let endpoint = Endpoint::find(self.host, endpoint)?;
                let done = Namespace::find(self.host, id)?.remove(&endpoint);
                Ok(done.map_err(without_place)?)
            }
        }
    }

    fn plain(self, family: &'static Family, verb: &Verb) -> Done {
        match verb {
            Verb::Create { file, id } => self.create(family, Some(file), *id, None),
            Verb::Other(verb) => self.object(family, verb),
        }
    }

    fn object(self, family: &'static Family, verb: &ObjectVerb) -> Done {
        match verb {
            ObjectVerb::Ls { filter } => self.list(family, filter.as_deref()),
            ObjectVerb::Show { id } => {
                let id = self.host.resolve(family.kind, id)?;
                self.show(family, id)
            }
            ObjectVerb::Modify { id, file } => self.modify(family, id, file),
            ObjectVerb::Delete { ids } => self.delete(family, ids),
            ObjectVerb::Stats { id } => stats::print(self, family, id),
        }
    }

    fn create(
        self,
        family: &Family,
        file: Option<&Path>,
        id: Option<Guid>,
        network: Option<Guid>,
    ) -> Done {
        let (name, text) = match file {
            Some(file) => {
                let file = files::read(file)?;
                (file.name, file.text)
            }
            None => (String::new(), "{}".to_owned()),
        };
        refuse_host_document(&name, &text)?;
        let call = Call { operation: family.create, id, network, document: &text };
        let answer = self.host.call(&call).map_err(|failure| Problem::in_file(&name, failure))?;
        warn(&name, &answer.warnings);
        let created = answer.body.trim_matches('"').parse::<Guid>().unwrap_or_default();
        match self.form {
            Form::Table | Form::Id => print::line(&created.to_string()),
            Form::Json | Form::Yaml => self.show(family, created),
        }
    }

    fn list(self, family: &Family, filter: Option<&str>) -> Done {
        let query = match filter {
            Some(filter) => {
                json!({ "SchemaVersion": { "Major": 2, "Minor": 0 }, "Filter": filter }).to_string()
            }
            None => QUERY.to_owned(),
        };
        let call = Call { operation: family.enumerate, id: None, network: None, document: &query };
        let answer = self.host.call(&call).map_err(without_place)?;
        let ids: Vec<Guid> = parsed(&answer.body)
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|id| id.as_str()?.parse().ok())
            .collect();
        match self.form {
            Form::Id => print::text(&ids.iter().map(|id| format!("{id}\n")).collect::<String>()),
            Form::Json => print::json(&Value::Array(self.documents(family, &ids)?)),
            Form::Yaml => print::yaml(&Value::Array(self.documents(family, &ids)?)),
            Form::Table => {
                let documents = self.documents(family, &ids)?;
                print::text(&table::print(self.host, family, &documents)?)
            }
        }
    }

    fn show(self, family: &Family, id: Guid) -> Done {
        let document = self.document(family, id)?;
        match self.form {
            Form::Id => print::line(&id.to_string()),
            Form::Json => print::json(&document),
            Form::Table | Form::Yaml => print::yaml(&document),
        }
    }

    fn modify(self, family: &Family, id: &str, file: &Path) -> Done {
        let id = self.host.resolve(family.kind, id)?;
        let file = files::read(file)?;
        let call = Call::on(family.modify, id, &file.text);
        let answer =
            self.host.call(&call).map_err(|failure| Problem::in_file(&file.name, failure))?;
        warn(&file.name, &answer.warnings);
        Ok(())
    }

    /// Deletes all that can be deleted; what cannot does not keep the others.
    fn delete(self, family: &Family, ids: &[String]) -> Done {
        let mut problems = Vec::new();
        for text in ids {
            let deleted = self
                .host
                .resolve(family.kind, text)
                .and_then(|id| self.host.call(&Call::on(family.delete, id, "")).map(|_| id));
            match deleted {
                Ok(id) => {
                    if self.form == Form::Id {
                        print::line(&id.to_string())?;
                    }
                }
                Err(failure) => problems.push(failure.into()),
            }
        }
        self.host.settle()?;
        match problems.len() {
            0 => Ok(()),
            _ => Err(Problem::Several(problems)),
        }
    }

    fn documents(self, family: &Family, ids: &[Guid]) -> Result<Vec<Value>, Failure> {
        ids.iter().map(|id| self.document(family, *id)).collect()
    }

    fn document(self, family: &Family, id: Guid) -> Result<Value, Failure> {
        query(self.host, family.query, id)
    }
}

/// Read leniently, a document of a whole host would make one object without a name.
fn refuse_host_document(file: &str, text: &str) -> Done {
    if validate(text, None).is_ok_and(|found| found.schema.name == HostDocument::SCHEMA.name) {
        let why = format!("{file} is the document of a whole host, not of one object");
        let failure = Failure::new(HResult::E_INVALIDARG, why);
        return Err(failure.hint(format!("hc up {file} makes what it asks for")).into());
    }
    Ok(())
}

/// Asks for documents of schema 2, in full.
const QUERY: &str = r#"{"SchemaVersion":{"Major":2,"Minor":0}}"#;

/// The document of one object.
///
/// # Errors
/// What the service refuses.
pub fn query(host: &Host, operation: Operation, id: Guid) -> Result<Value, Failure> {
    host.call(&Call::on(operation, id, QUERY)).map(|answer| parsed(&answer.body))
}

/// The service prints JSON; anything else would be a text to show as it is.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// Tells what was tolerated in a document.
pub fn warn(file: &str, warnings: &[Warning]) {
    for warning in warnings {
        print::note(&format!("hc: {file}: warning: {warning}"));
    }
}
