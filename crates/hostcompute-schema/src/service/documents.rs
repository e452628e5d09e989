//! The documents of the service's own operations.
//!
//! They are no part of the published schema, so no version brought them. Lists that an answer always
//! has are printed when they are empty, too: who asks with a shell should not have to know that a
//! member can be missing.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde_json::Value;

use crate::guid::Guid;
use crate::hcn::{
    EndpointStats, GuestNetworkService, HostComputeEndpoint, HostComputeLoadBalancer,
    HostComputeNamespace, HostComputeNetwork, HostComputeRoute, NotificationBase, ProtocolType,
};

documents! {
    /// Files with host documents.
    pub struct HostFiles("HostFiles") {
        /// The files, in the order in which they were named.
        files: Vec<HostFile> = "Files" [],
    }

    /// A file with a host document.
    pub struct HostFile("HostFile") {
        /// What a person calls it.
        name: Option<String> = "Name" [],
        /// The document's text; failures tell places in it.
        text: Option<String> = "Text" [],
    }

    /// What was done, or is to be done.
    pub struct Steps("Steps") {
        /// The steps, in order.
        steps: Vec<Step> = "Steps" [, Always],
        /// What was tolerated in the files.
        warnings: Vec<FileWarning> = "Warnings" [],
    }

    /// One thing done, or to be done.
    pub struct Step("Step") {
        /// What is done to the object: create, modify, attach, detach or delete.
        action: Option<String> = "Action" [, Always],
        /// The kind of object, such as `load balancer`.
        kind: Option<String> = "Kind" [, Always],
        /// The object.
        id: Option<Guid> = "ID" [, Always],
        /// What a person calls it.
        name: Option<String> = "Name" [, Always],
        /// What differs, or where to.
        detail: Option<String> = "Detail" [],
    }

    /// Something that was tolerated in a file.
    pub struct FileWarning("FileWarning") {
        /// The file.
        file: Option<String> = "File" [, Always],
        /// What is odd.
        message: Option<String> = "Message" [, Always],
        /// The member that it is about.
        path: Option<String> = "Path" [, Always],
        /// The line where that member stands.
        line: Option<u32> = "Line" [],
        /// The column of that line.
        column: Option<u32> = "Column" [],
    }

    /// One line of what is told while files are carried out; exactly one member is given.
    pub struct ProgressLine("ProgressLine") {
        /// Something in a file was tolerated.
        tolerated: Option<FileWarning> = "Tolerated" [],
        /// So many steps are to come.
        planned: Option<u32> = "Planned" [, Given],
        /// A step was done.
        done: Option<Step> = "Done" [],
        /// A step failed; what was done is being taken back.
        taking_back: Option<bool> = "TakingBack" [],
        /// The end of what went well.
        result: Option<Steps> = "Result" [, Given],
        /// The end of what did not: a problem document.
        problem: Option<Value> = "Problem" [],
    }

    /// What a comparison of documents, journal and kernel found; an empty list is good news.
    pub struct Findings("Findings") {
        /// The findings.
        findings: Vec<Finding> = "Findings" [, Always],
    }

    /// One thing that is not as it should be.
    pub struct Finding("Finding") {
        /// What it is about.
        subject: Option<String> = "Subject" [, Always],
        /// What is wrong with it.
        problem: Option<String> = "Problem" [, Always],
    }

    /// What this machine lacks; the worst comes first, an empty list is good news.
    pub struct Diagnosis("Diagnosis") {
        /// The lacks.
        findings: Vec<Lack> = "Findings" [, Always],
    }

    /// Something that is not as it could be.
    pub struct Lack("Lack") {
        /// How bad it is.
        severity: Option<Severity> = "Severity" [, Always],
        /// What was tried or looked at.
        subject: Option<String> = "Subject" [, Always],
        /// What was found.
        found: Option<String> = "Found" [, Always],
        /// What that costs.
        consequence: Option<String> = "Consequence" [, Always],
        /// What to do about it.
        remedy: Option<String> = "Remedy" [, Always],
    }

    /// The whole state, for backups and for another version of the service.
    pub struct StateExport("StateExport") {
        /// The name of the format.
        format: Option<String> = "Format" [, Always],
        /// The version of the format.
        version: Option<u32> = "Version" [, Always],
        /// Every object.
        objects: Vec<StoredObject> = "Objects" [, Always],
    }

    /// One object as it is remembered.
    pub struct StoredObject("StoredObject") {
        /// The kind of object.
        kind: Option<String> = "Kind" [, Always],
        /// The object.
        id: Option<Guid> = "Id" [, Always],
        /// What is remembered of it.
        body: Option<Value> = "Body" [, Always],
    }

    /// What an import brought.
    pub struct Imported("Imported") {
        /// How many objects there were.
        objects: Option<u32> = "Objects" [, Always],
    }

    /// Where a program must be started to be inside a namespace.
    pub struct NamespacePlace("NamespacePlace") {
        /// The file of the network namespace, for `nsenter --net=`.
        netns: Option<String> = "Netns" [, Always],
        /// The file that /etc/resolv.conf should be; empty for the host's own.
        resolver: Option<String> = "Resolver" [],
    }

    /// The MAC addresses that management has, which accelerated networking shall leave alone. This host has none: the list is kept.
    pub struct ManagementAddresses("ManagementAddresses") {
        /// The addresses.
        mac_address_list: Vec<ManagementAddress> = "MacAddressList" [],
    }

    /// One of those addresses.
    pub struct ManagementAddress("ManagementAddress") {
        /// The address, such as `00-15-5D-00-00-01`.
        mac_address: Option<String> = "MacAddress" [],
    }

    /// A call of the older interface, as HNSCall of vmcompute.dll takes it.
    pub struct OlderCall("OlderCall") {
        /// GET, POST or DELETE.
        method: Option<String> = "Method" [, Always],
        /// The path, such as `/networks/`.
        path: Option<String> = "Path" [, Always],
        /// The document: as it is, or as a text that has it.
        document: Option<Value> = "Document" [],
    }

    /// What a call of the older interface brought.
    pub struct OlderAnswer("OlderAnswer") {
        /// Whether it was carried out.
        success: Option<bool> = "Success" [, Always],
        /// The document that it brought.
        output: Option<Value> = "Output" [],
        /// Why it was refused.
        error: Option<String> = "Error" [],
        /// The HRESULT by which it was refused.
        error_code: Option<u32> = "ErrorCode" [],
    }

    /// Connections that are being tracked.
    pub struct Flows("Flows") {
        /// The connections.
        flows: Vec<Flow> = "Flows" [, Always],
    }

    /// One connection through a port of ours.
    pub struct Flow("Flow") {
        /// The protocol.
        protocol: Option<ProtocolType> = "Protocol" [, Always],
        /// Who began it: address, and port where the protocol has ports.
        source: Option<String> = "Source" [, Always],
        /// Whom it was sent to.
        destination: Option<String> = "Destination" [, Always],
        /// Who really answers, where it was translated.
        translated_to: Option<String> = "TranslatedTo" [],
        /// What went through in both directions, where the kernel counts.
        bytes: Option<u64> = "Bytes" [, Given],
        /// What the kernel says of its state, such as `established`.
        state: Option<String> = "State" [],
    }

    /// What a new handle shall be of.
    pub struct HandleRequest("HandleRequest") {
        /// The kind of object.
        kind: Option<ObjectKind> = "Kind" [, Always],
        /// The object.
        id: Option<Guid> = "Id" [, Always],
    }

    /// A handle of a session: it is given back, at the latest, when the session ends.
    pub struct SessionHandle("SessionHandle") {
        /// Its number.
        handle: Option<u64> = "Handle" [, Always],
        /// The kind of object.
        kind: Option<ObjectKind> = "Kind" [, Given],
        /// The object.
        id: Option<Guid> = "Id" [],
    }

    /// The handles of a session.
    pub struct SessionHandles("SessionHandles") {
        /// The handles.
        handles: Vec<SessionHandle> = "Handles" [, Always],
    }

    /// Which ports of the host shall be reserved: one by its number, or a row of them wherever it is.
    pub struct PortRequest("PortRequest") {
        /// The protocol of one port.
        protocol: Option<PortProtocol> = "Protocol" [, Given],
        /// Who else may have the port: nobody, unless it is said.
        access: Option<PortAccess> = "Access" [, Given],
        /// The one port.
        port: Option<u16> = "Port" [, Given],
        /// So many ports and one more, of both protocols, next to each other; the service chooses which.
        port_count: Option<u16> = "PortCount" [, Given],
        /// The guest network service that they are for: they go with it at the latest.
        guest_network_service: Option<Guid> = "GuestNetworkService" [],
    }

    /// Ports that a session has reserved.
    pub struct PortReservation("PortReservation") {
        /// Its number.
        reservation: Option<u64> = "Reservation" [, Always],
        /// The session that has them.
        session: Option<Guid> = "Session" [, Always],
        /// The guest network service that they are for.
        guest_network_service: Option<Guid> = "GuestNetworkService" [],
        /// The protocol.
        protocol: Option<PortProtocol> = "Protocol" [, Always],
        /// Who else may have them.
        access: Option<PortAccess> = "Access" [, Always],
        /// The first port.
        starting_port: Option<u16> = "StartingPort" [, Always],
        /// The last port, which is reserved, too.
        ending_port: Option<u16> = "EndingPort" [, Always],
    }

    /// All reservations.
    pub struct PortReservations("PortReservations") {
        /// The reservations.
        reservations: Vec<PortReservation> = "Reservations" [, Always],
    }

    /// How far a request has got that was not waited for.
    pub struct LongOperation("LongOperation") {
        /// Its id.
        id: Option<Guid> = "Id" [, Always],
        /// What is being done.
        operation: Option<String> = "Operation" [, Always],
        /// Where it is.
        state: Option<OperationState> = "State" [, Always],
        /// What it has told so far.
        progress: Vec<ProgressLine> = "Progress" [],
        /// What it brought: the body that the request would have been answered with.
        result: Option<Value> = "Result" [],
        /// Why it failed: a problem document.
        problem: Option<Value> = "Problem" [],
    }

    /// A notification.
    pub struct Notification("Notification") {
        /// The number in HCN_NOTIFICATIONS.
        kind: Option<u32> = "Type" [, Always],
        /// The name in HCN_NOTIFICATIONS, without its prefix.
        name: Option<String> = "Name" [, Always],
        /// What it is about.
        data: Option<NotificationBase> = "Data" [],
    }

    /// What is newer than a revision.
    pub struct Topology("Topology") {
        /// The present revision, to ask with the next time; another process of the service knows nothing of it.
        revision: Option<String> = "Revision" [, Always],
        /// Whether this is everything there is, and what the caller has is to be forgotten.
        complete: Option<bool> = "Complete" [, Always],
        /// Networks that are new or have changed.
        networks: Vec<HostComputeNetwork> = "Networks" [, Always],
        /// Namespaces that are new or have changed.
        namespaces: Vec<HostComputeNamespace> = "Namespaces" [, Always],
        /// Endpoints that are new or have changed.
        endpoints: Vec<HostComputeEndpoint> = "Endpoints" [, Always],
        /// Load balancers that are new or have changed.
        load_balancers: Vec<HostComputeLoadBalancer> = "LoadBalancers" [, Always],
        /// SDN routes that are new or have changed.
        routes: Vec<HostComputeRoute> = "Routes" [, Always],
        /// Guest network services that are new or have changed.
        guest_network_services: Vec<GuestNetworkService> = "GuestNetworkServices" [, Always],
        /// Objects that are no more.
        removed: Vec<Guid> = "Removed" [, Always],
    }

    /// What went through every endpoint that has a port.
    pub struct AllStatistics("AllStatistics") {
        /// The present revision of the topology.
        revision: Option<String> = "Revision" [, Always],
        /// When the counters were read, by a clock of the service's own.
        milliseconds: Option<Value> = "Milliseconds" [, Always],
        /// The counters.
        statistics: Vec<EndpointStats> = "Statistics" [, Always],
    }

    /// Notifications are missing in a stream.
    pub struct MissedNotifications("MissedNotifications") {
        /// How many.
        count: Option<u64> = "Count" [, Always],
    }

    /// What the service is.
    pub struct ServiceVersion("ServiceVersion") {
        /// The program.
        name: Option<String> = "Name" [, Always],
        /// Its version.
        version: Option<String> = "Version" [, Always],
        /// The newest version of the documents' schema that it knows.
        schema: Option<String> = "Schema" [, Always],
    }

    /// The live tree of the service, for people who look into it.
    pub struct Inspection("Inspection") {
        /// The state directory and its journal.
        state: Option<Value> = "State" [],
        /// The host that the state belongs to.
        host: Option<Value> = "Host" [],
        /// How many objects there are, by kind.
        objects: Option<Value> = "Objects" [],
        /// How many facts the host is kept to.
        facts: Option<u64> = "Facts" [, Given],
        /// The number of the last notification; the first one ever has 1.
        events: Option<u64> = "Events" [, Given],
        /// How many requests wait to be decided; of a running service only.
        queue: Option<u64> = "Queue" [, Given],
        /// Who is connected; of a running service only.
        sessions: Vec<SessionInfo> = "Sessions" [],
        /// What was repaired when the service started, in words.
        repaired: Vec<String> = "Repaired" [],
    }

    /// One session.
    pub struct SessionInfo("SessionInfo") {
        /// Its id.
        id: Option<Guid> = "Id" [, Always],
        /// The user.
        uid: Option<u32> = "Uid" [, Always],
        /// The process, where it is known.
        pid: Option<u32> = "Pid" [],
        /// What the user may do.
        right: Option<String> = "Right" [],
        /// How many handles it has.
        handles: Option<u64> = "Handles" [, Given],
        /// How many subscriptions it has.
        subscriptions: Option<u64> = "Subscriptions" [, Given],
    }
}

kinds! {
    /// The kinds of objects that have handles and names.
    pub enum ObjectKind {
        /// A network.
        Network [],
        /// A namespace.
        Namespace [],
        /// An endpoint.
        Endpoint [],
        /// A load balancer.
        LoadBalancer [],
        /// An SDN route.
        SdnRoute [],
        /// A guest network service.
        GuestNetworkService [],
    }

    /// The protocols of a port (HCN_PORT_PROTOCOL).
    pub enum PortProtocol {
        /// TCP alone.
        Tcp [],
        /// UDP alone.
        Udp [],
        /// Both of them.
        Both [],
    }

    /// Who may have a reserved port (HCN_PORT_ACCESS).
    pub enum PortAccess {
        /// One session alone.
        Exclusive [],
        /// Every session that asks for it shared.
        Shared [],
    }

    /// How bad it is that something is lacking.
    pub enum Severity {
        /// Good to know.
        Note [],
        /// Something will not work.
        Warning [],
        /// Nothing will work.
        Problem [],
    }

    /// Where a long operation is.
    pub enum OperationState {
        /// It is being carried out, or waits to be.
        Running [],
        /// It was carried out.
        Succeeded [],
        /// It failed, and left everything as it was.
        Failed [],
    }
}

impl Finding {
    /// Something that is not as it should be.
    pub fn new(subject: impl Into<String>, problem: &str) -> Finding {
        Finding {
            subject: Some(subject.into()),
            problem: Some(problem.into()),
            ..Finding::default()
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        write!(f, "{}: {}", text(&self.subject), text(&self.problem))
    }
}
