//! What can be asked of the service itself: one table, beside the one of the API's functions.
//!
//! The functions of the API ([`crate::operation`]) concern single objects. These concern the service
//! and its host as a whole: host documents, checks, the state, sessions, long operations. Windows has
//! none of them. The routes of the HTTP interface, the rights and the OpenAPI document of the service
//! derive from this table.

mod documents;
mod files;
mod progress;
mod trace;

use core::fmt;
use core::str::FromStr;

pub use documents::*;
pub use progress::{Obstacle, Progress, Told};
pub use trace::*;

use crate::document::Document;
use crate::host_document::HostDocument;
use crate::operation::{Kind, Method, Right};
use crate::schema::{self, EnumSchema, StructSchema};

/// The body that goes in.
#[derive(Clone, Copy, Debug)]
pub enum Input {
    /// Nothing.
    None,
    /// One of these documents.
    Document(&'static [&'static StructSchema]),
}

/// What comes back.
#[derive(Clone, Copy, Debug)]
pub enum Output {
    /// Nothing.
    None,
    /// The id of an object, as a JSON text.
    Id,
    /// A document.
    Document(&'static StructSchema),
    /// The document of something new, whose place `Location` tells.
    Made(&'static StructSchema),
    /// [`Steps`]; or, where the caller accepts `application/x-ndjson`, lines of [`ProgressLine`].
    Steps,
    /// Documents, as things happen.
    Events(&'static StructSchema),
    /// A JSON document that others describe.
    Json,
    /// Text of this media type.
    Text(&'static str),
}

/// Something in the query string.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: schema::Kind,
    /// Whether it must be there.
    pub required: bool,
    /// What it means.
    pub doc: &'static str,
}

impl Parameter {
    pub(crate) const fn optional(
        name: &'static str,
        kind: schema::Kind,
        doc: &'static str,
    ) -> Self {
        Self { name, kind, required: false, doc }
    }

    pub(crate) const fn required(
        name: &'static str,
        kind: schema::Kind,
        doc: &'static str,
    ) -> Self {
        Self { name, kind, required: true, doc }
    }
}

macro_rules! service_operations {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident: $right:ident, $method:ident $path:literal, $input:expr => $output:expr
            $(, [$($parameter:ident),*])?;
    )*) => {
        /// One thing that can be asked of the service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ServiceOperation {
            $($(#[doc = $doc])* $name,)*
        }

        impl ServiceOperation {
            /// Every operation, in the order of the table.
            pub const ALL: &'static [ServiceOperation] = &[$(ServiceOperation::$name),*];

            fn row(self) -> &'static Row {
                match self {
                    $(ServiceOperation::$name => {
                        static ROW: Row = Row {
                            name: stringify!($name),
                            right: Right::$right,
                            route: (Method::$method, $path),
                            input: { use Input::*; $input },
                            output: { use Output::*; $output },
                            parameters: &[$($(&$parameter),*)?],
                            doc: concat!($($doc),*),
                        };
                        &ROW
                    })*
                }
            }
        }
    };
}

struct Row {
    name: &'static str,
    right: Right,
    route: (Method, &'static str),
    input: Input,
    output: Output,
    parameters: &'static [&'static Parameter],
    doc: &'static str,
}

/// What `up`, `down` and `diff` take: files, or one host document as it is.
const HOST_DOCUMENTS: &[&StructSchema] = &[HostFiles::SCHEMA, HostDocument::SCHEMA];

service_operations! {
    /// Makes everything that host documents ask for and is not there yet; takes back what it made when
    /// a step fails.
    Up: Manage, Post "/host/up", Document(HOST_DOCUMENTS) => Steps;
    /// Deletes exactly what host documents name, and waits until the host is clean.
    Down: Manage, Post "/host/down", Document(HOST_DOCUMENTS) => Steps;
    /// Tells what `up` would do.
    Diff: Read, Post "/host/diff", Document(HOST_DOCUMENTS) => Steps;
    /// Compares documents, journal and kernel, and names every difference.
    Check: Read, Get "/host/check", None => Document(Findings::SCHEMA);
    /// Makes the kernel agree with the documents: makes what is missing, removes what no object explains.
    Repair: Manage, Post "/host/repair", None => None;
    /// Tells what this kernel and this host lack, and what that costs.
    Doctor: Read, Get "/host/doctor", None => Document(Diagnosis::SCHEMA);
    /// Shows the live tree of the service.
    Inspect: Read, Get "/host/inspect", None => Document(Inspection::SCHEMA);
    /// Prints the whole state as one document.
    ExportState: Read, Get "/host/state", None => Document(StateExport::SCHEMA);
    /// Fills an empty state from an export, and builds what it says.
    ImportState: Manage, Put "/host/state", Document(&[StateExport::SCHEMA])
        => Document(Imported::SCHEMA);
    /// Finds the object that a person means: by GUID, by unique beginning of its GUID, or by Name.
    Resolve: Read, Get "/host/resolve", None => Id, [KIND, TEXT];
    /// Waits until removals that the kernel finishes in the background are through.
    Settle: Manage, Post "/host/settle", None => None;
    /// Lists connections that are being tracked.
    Flows: Read, Get "/host/flows", None => Document(Flows::SCHEMA), [LIMIT];
    /// Tells whether a packet gets from one end to another, by which way, and what stops it, from what the service knows.
    Trace: Read, Post "/host/trace", Document(&[TraceRequest::SCHEMA]) => Document(Trace::SCHEMA);
    /// Does the same, sends such a packet, and tells what the kernel did with it.
    Probe: Manage, Post "/host/probe", Document(&[TraceRequest::SCHEMA]) => Document(Trace::SCHEMA);
    /// Tells everything that is newer than a revision, for those who watch; all there is to who names none.
    Topology: Read, Get "/host/topology", None => Document(Topology::SCHEMA), [AFTER];
    /// Reads the counters of every endpoint that has a port.
    Statistics: Read, Get "/host/statistics", None => Document(AllStatistics::SCHEMA);
    /// Tells the MAC addresses that accelerated networking shall leave alone.
    GetManagementAddresses: Read, Get "/host/management-addresses", None
        => Document(ManagementAddresses::SCHEMA);
    /// Sets them all: the list is kept, and nothing else, since this host has no accelerated networking.
    SetManagementAddresses: Manage, Put "/host/management-addresses",
        Document(&[ManagementAddresses::SCHEMA]) => Document(ManagementAddresses::SCHEMA);
    /// Carries out a call of the older interface (HNSCall): a method and a path like those of HTTP. What is refused is part of the
    /// answer; what the call asks for needs the right that it has elsewhere.
    CallOlder: Read, Post "/hns", Document(&[OlderCall::SCHEMA]) => Document(OlderAnswer::SCHEMA);
    /// Tells where a program must be started to be inside a namespace.
    Place: Read, Get "/namespaces/{id}/place", None => Document(NamespacePlace::SCHEMA);

    /// Opens an object for this session: fails when it does not exist.
    OpenHandle: Read, Post "/handles", Document(&[HandleRequest::SCHEMA])
        => Made(SessionHandle::SCHEMA);
    /// Lists the handles of this session.
    ListHandles: Read, Get "/handles", None => Document(SessionHandles::SCHEMA);
    /// Gives a handle back.
    CloseHandle: Read, Delete "/handles/{handle}", None => None;
    /// Keeps ports of the host from everybody else, until they are released or the session ends.
    ReservePorts: Manage, Post "/reservations", Document(&[PortRequest::SCHEMA])
        => Made(PortReservation::SCHEMA);
    /// Lists the reservations of all sessions.
    ListReservations: Read, Get "/reservations", None => Document(PortReservations::SCHEMA);
    /// Gives back ports that this session reserved.
    ReleasePorts: Manage, Delete "/reservations/{handle}", None => None;

    /// Tells how far a request has got that was not waited for.
    GetOperation: Read, Get "/operations/{id}", None => Document(LongOperation::SCHEMA), [WAIT];
    /// Asks a request that is worked on to end where it is; that it has is told as its failure (E_ABORT).
    CancelOperation: Manage, Delete "/operations/{id}", None => None;
    /// Sends what a request tells while it is carried out.
    FollowOperation: Read, Get "/operations/{id}/events", None => Events(ProgressLine::SCHEMA);

    /// Tells what the service is.
    Version: Read, Get "/version", None => Document(ServiceVersion::SCHEMA);
    /// Prints measurements for Prometheus.
    Metrics: Read, Get "/metrics", None => Text("text/plain; version=0.0.4");
    /// Prints this description.
    Describe: Read, Get "/openapi.json", None => Json;
    /// Answers when the service is alive.
    Health: Read, Get "/healthz", None => Text("text/plain");
}

const KIND: Parameter =
    Parameter::required("kind", schema::Kind::Enum(ObjectKind::SCHEMA), "The kind of object.");

const TEXT: Parameter = Parameter::required("text", schema::Kind::Text, "What the person said.");

const LIMIT: Parameter =
    Parameter::optional("limit", schema::Kind::Unsigned(32), "How many at most.");

const AFTER: Parameter =
    Parameter::optional("after", schema::Kind::Text, "The revision that the caller has seen.");

const WAIT: Parameter = Parameter::optional(
    "wait",
    schema::Kind::Unsigned(32),
    "How many seconds to wait for the end, at most.",
);

impl ServiceOperation {
    /// The name, such as `ExportState`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The right that a caller needs.
    pub fn right(self) -> Right {
        self.row().right
    }

    /// The HTTP method and path; `{id}` stands for a GUID, `{handle}` for a number.
    pub fn route(self) -> (Method, &'static str) {
        self.row().route
    }

    /// The body that goes in.
    pub fn input(self) -> Input {
        self.row().input
    }

    /// What comes back.
    pub fn output(self) -> Output {
        self.row().output
    }

    /// What stands in the query string.
    pub fn parameters(self) -> &'static [&'static Parameter] {
        self.row().parameters
    }

    /// What it does, in one sentence.
    pub fn doc(self) -> &'static str {
        self.row().doc.trim()
    }

    /// Whether it leaves everything as it is.
    pub fn is_read_only(self) -> bool {
        self.right() == Right::Read
    }
}

impl fmt::Display for ServiceOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ServiceOperation {
    type Err = crate::operation::UnknownOperation;

    fn from_str(text: &str) -> Result<ServiceOperation, Self::Err> {
        let named = |operation: &&ServiceOperation| operation.name() == text;
        let found = ServiceOperation::ALL.iter().find(named).copied();
        found.ok_or(crate::operation::UnknownOperation)
    }
}

impl TryFrom<Kind> for ObjectKind {
    type Error = Kind;

    /// The kind as it travels; port reservations and the service itself have none.
    fn try_from(kind: Kind) -> Result<ObjectKind, Kind> {
        Ok(match kind {
            Kind::Network => ObjectKind::Network,
            Kind::Namespace => ObjectKind::Namespace,
            Kind::Endpoint => ObjectKind::Endpoint,
            Kind::LoadBalancer => ObjectKind::LoadBalancer,
            Kind::SdnRoute => ObjectKind::SdnRoute,
            Kind::GuestNetworkService => ObjectKind::GuestNetworkService,
            Kind::PortReservation | Kind::Service => return Err(kind),
        })
    }
}

impl ObjectKind {
    /// The kind in the tables; `None` for one that this version does not know.
    pub fn subject(&self) -> Option<Kind> {
        Some(match self {
            ObjectKind::Network => Kind::Network,
            ObjectKind::Namespace => Kind::Namespace,
            ObjectKind::Endpoint => Kind::Endpoint,
            ObjectKind::LoadBalancer => Kind::LoadBalancer,
            ObjectKind::SdnRoute => Kind::SdnRoute,
            ObjectKind::GuestNetworkService => Kind::GuestNetworkService,
            ObjectKind::Unknown(_) => return None,
        })
    }
}

/// Every document type of the service's own operations.
pub static STRUCTS: &[&StructSchema] = &[
    HostFiles::SCHEMA,
    HostFile::SCHEMA,
    HostDocument::SCHEMA,
    Steps::SCHEMA,
    Step::SCHEMA,
    FileWarning::SCHEMA,
    ProgressLine::SCHEMA,
    Findings::SCHEMA,
    Finding::SCHEMA,
    Diagnosis::SCHEMA,
    Lack::SCHEMA,
    StateExport::SCHEMA,
    StoredObject::SCHEMA,
    Imported::SCHEMA,
    NamespacePlace::SCHEMA,
    ManagementAddresses::SCHEMA,
    ManagementAddress::SCHEMA,
    OlderCall::SCHEMA,
    OlderAnswer::SCHEMA,
    Flows::SCHEMA,
    Flow::SCHEMA,
    TraceRequest::SCHEMA,
    Trace::SCHEMA,
    TracePath::SCHEMA,
    TraceHop::SCHEMA,
    TraceObstacle::SCHEMA,
    LiveTrace::SCHEMA,
    LiveStep::SCHEMA,
    Topology::SCHEMA,
    AllStatistics::SCHEMA,
    HandleRequest::SCHEMA,
    SessionHandle::SCHEMA,
    SessionHandles::SCHEMA,
    PortRequest::SCHEMA,
    PortReservation::SCHEMA,
    PortReservations::SCHEMA,
    LongOperation::SCHEMA,
    Notification::SCHEMA,
    MissedNotifications::SCHEMA,
    ServiceVersion::SCHEMA,
    Inspection::SCHEMA,
    SessionInfo::SCHEMA,
];

/// Every enumeration of the service's own operations.
pub static ENUMS: &[&EnumSchema] = &[
    ObjectKind::SCHEMA,
    PortProtocol::SCHEMA,
    PortAccess::SCHEMA,
    Severity::SCHEMA,
    OperationState::SCHEMA,
    TracePlace::SCHEMA,
    TraceReceiver::SCHEMA,
    TraceObstacleKind::SCHEMA,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Operation;
    use alloc::collections::BTreeSet;

    #[test]
    fn names_and_sentences_are_as_they_should_be() {
        for operation in ServiceOperation::ALL {
            assert_eq!(operation.name().parse(), Ok(*operation));
            assert!(operation.doc().ends_with('.'), "{operation}");
            assert!(operation.name().parse::<Operation>().is_err(), "{operation} stands in both");
        }
    }

    #[test]
    fn no_route_is_taken_twice_in_either_table() {
        let own = ServiceOperation::ALL.iter().map(|operation| operation.route());
        let routes: BTreeSet<_> =
            own.chain(Operation::ALL.iter().filter_map(|o| o.route())).collect();
        let routed = Operation::ALL.iter().filter(|o| o.route().is_some()).count();
        assert_eq!(routes.len(), routed + ServiceOperation::ALL.len());
    }

    #[test]
    fn an_answer_says_that_a_list_is_empty() {
        assert_eq!(Findings::default().to_value(), serde_json::json!({ "Findings": [] }));
        assert_eq!(HostFiles::default().to_value(), serde_json::json!({}));
    }

    #[test]
    fn kinds_travel_there_and_back() {
        for kind in ObjectKind::KNOWN {
            let subject = kind.subject().expect("known");
            assert_eq!(ObjectKind::try_from(subject).as_ref(), Ok(kind));
        }
        assert!(ObjectKind::try_from(Kind::Service).is_err());
    }
}
