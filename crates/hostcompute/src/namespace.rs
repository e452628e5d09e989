//! Handles of namespaces, and what is plugged into them.

#[cfg(embedded)]
use std::process::{Child, Command};

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{
    Document, HostComputeNamespace, ModifyNamespaceSettingRequest, ModifyRequestType,
    NamespaceEndpointRequest, NamespaceResourceType, NamespaceType,
};

use crate::{Endpoint, Failure, Guid, HResult, Host};

handle! {
    /// A network namespace: the network stack that processes share.
    ///
    /// ```no_run
    /// use hostcompute::schema::HostComputeNamespace;
    /// use hostcompute::{Endpoint, Host, Namespace, Options};
    ///
    /// # fn main() -> Result<(), hostcompute::Error> {
    /// let host = Host::embedded(Options::from_env())?;
    /// let namespace = Namespace::create(&host, &HostComputeNamespace::default())?;
    /// namespace.add(&Endpoint::find(&host, "front")?)?;
    /// # Ok(())
    /// # }
    /// ```
    Namespace, HostComputeNamespace, Namespace,
    open OpenNamespace, enumerate EnumerateNamespaces, query QueryNamespaceProperties, delete DeleteNamespace,
    modify ModifyNamespace by ModifyNamespaceSettingRequest
}

creation! { Namespace, HostComputeNamespace, CreateNamespace }

impl Namespace {
    /// A namespace of this host's, with nothing in it.
    ///
    /// # Errors
    /// Why the host cannot make one.
    pub fn create_host(host: &Host) -> Result<Self, Failure> {
        Self::create(host, &HostComputeNamespace::default().kind(NamespaceType::Host))
    }

    /// The host's own network stack, which is always there.
    ///
    /// # Errors
    /// Why the service cannot be reached.
    pub fn host_default(host: &Host) -> Result<Self, Failure> {
        for namespace in Self::list(host)? {
            match namespace.query() {
                Ok(document) if document.kind == Some(NamespaceType::HostDefault) => {
                    return Ok(namespace);
                }
                Err(failure) if !failure.is_not_found() => return Err(failure),
                _ => {}
            }
        }
        Err(Failure::new(HResult::ERROR_NOT_FOUND, "the host's namespace is not listed"))
    }

    /// The endpoints that are plugged in, in their order.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND when the namespace was deleted.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, Failure> {
        let mut found = Vec::new();
        for resource in self.query()?.resources {
            if resource.kind != Some(NamespaceResourceType::Endpoint) {
                continue;
            }
            let id = resource.data.as_ref().and_then(|data| data.get("Id")?.as_str()?.parse().ok());
            let Some(id) = id else { continue };
            match Endpoint::open(&self.host, id) {
                // Deleted meanwhile.
                Err(failure) if failure.is_not_found() => {}
                opened => found.push(opened?),
            }
        }
        Ok(found)
    }

    /// Plugs an endpoint in.
    ///
    /// # Errors
    /// HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS when it is in a namespace already, or why the host cannot do it.
    pub fn add(&self, endpoint: &Endpoint) -> Result<(), Failure> {
        self.change(ModifyRequestType::Add, endpoint.id())
    }

    /// Unplugs an endpoint; it stays, and can be plugged in again.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND when it is not in this namespace.
    pub fn remove(&self, endpoint: &Endpoint) -> Result<(), Failure> {
        self.change(ModifyRequestType::Remove, endpoint.id())
    }

    fn change(&self, kind: ModifyRequestType, endpoint: Guid) -> Result<(), Failure> {
        let settings = NamespaceEndpointRequest {
            endpoint_id: Some(endpoint),
            ..NamespaceEndpointRequest::default()
        };
        self.modify(&ModifyNamespaceSettingRequest {
            request_type: Some(kind),
            resource_type: Some(NamespaceResourceType::Endpoint),
            settings: Some(settings.to_value()),
            ..ModifyNamespaceSettingRequest::default()
        })
    }
}

#[cfg(embedded)]
impl Namespace {
    /// Does something inside of the namespace, on a thread of its own that ends with it: sockets are opened there, programs started there,
    /// names asked of the namespace's resolvers. For namespaces of this machine only.
    ///
    /// ```no_run
    /// use std::net::TcpListener;
    ///
    /// use hostcompute::{Host, Namespace, Options};
    ///
    /// # fn main() -> Result<(), hostcompute::Error> {
    /// let host = Host::auto(Options::from_env())?;
    /// let namespace = Namespace::find(&host, "front")?;
    /// let inside = namespace.run(|| TcpListener::bind("0.0.0.0:80"))?; // listens in the namespace, also from here
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// HCN_E_NAMESPACE_ATTACH_FAILED when the namespace has gone, E_ACCESSDENIED without the right to enter it, E_UNEXPECTED when `work`
    /// panics.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
        let place = self.host.place(self)?;
        std::thread::scope(|scope| {
            let inside = move || place.enter().map(|()| work());
            let thread = std::thread::Builder::new().name("inside".to_owned());
            let thread = thread.spawn_scoped(scope, inside).map_err(|error| {
                let why = "there is no thread to enter the namespace with";
                Failure::new(HResult::E_OUTOFMEMORY, why).because(&error)
            })?;
            let panicked =
                |_| Failure::new(HResult::E_UNEXPECTED, "what was done inside has panicked");
            thread.join().map_err(panicked)?
        })
    }

    /// Starts a program inside of the namespace, where /etc/resolv.conf names the namespace's resolvers. It lives as any other child of
    /// this process, and keeps the network stack alive, whatever becomes of the namespace.
    ///
    /// ```no_run
    /// use std::process::Command;
    ///
    /// use hostcompute::{Host, Namespace, Options};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let host = Host::auto(Options::from_env())?;
    /// let namespace = Namespace::find(&host, "front")?;
    /// let mut child = namespace.spawn(Command::new("ip").args(["addr", "show", "eth0"]))?;
    /// assert!(child.wait()?.success());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Self::run`]; ERROR_FILE_NOT_FOUND and E_ACCESSDENIED for a program that is not there, or cannot be started.
    pub fn spawn(&self, command: &mut Command) -> Result<Child, Failure> {
        let program = command.get_program().to_owned();
        self.run(|| command.spawn())?.map_err(|error| {
            let code = match error.kind() {
                std::io::ErrorKind::NotFound => HResult::ERROR_FILE_NOT_FOUND,
                std::io::ErrorKind::PermissionDenied => HResult::E_ACCESSDENIED,
                _ => HResult::E_FAIL,
            };
            Failure::new(code, format!("cannot start {}", program.display())).because(&error)
        })
    }
}
