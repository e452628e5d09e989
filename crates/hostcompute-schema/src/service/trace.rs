//! The documents of `Trace` and `Probe`: whether a packet gets there, by which way, and what is in it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::guid::Guid;
use crate::hcn::ProtocolType;

documents! {
    /// Whose packet, and where to.
    ///
    /// An end is an endpoint (GUID, unique beginning of it, or Name), an IP address, or `host`; `To` may be a load balancer, too.
    pub struct TraceRequest("TraceRequest") {
        /// Who sends. An address that is nobody's here is a machine elsewhere.
        from: Option<String> = "From" [],
        /// Who is to get it.
        to: Option<String> = "To" [],
        /// The protocol: TCP where there is a port, else ICMP.
        protocol: Option<ProtocolType> = "Protocol" [],
        /// The port at the other end; a load balancer's first, where none is given.
        port: Option<u16> = "Port" [],
        /// The sender's port: one of those that programs get when they do not choose.
        source_port: Option<u16> = "SourcePort" [],
    }

    /// What becomes of the first packet of a connection, and of the answer.
    pub struct Trace("Trace") {
        /// Who sends, in words.
        from: Option<String> = "From" [, Always],
        /// Who is to get it, in words.
        to: Option<String> = "To" [, Always],
        /// The sender's address; none where it has none.
        source: Option<String> = "Source" [],
        /// What the packet is sent to: address, and port where the protocol has ports.
        destination: Option<String> = "Destination" [, Always],
        /// The protocol.
        protocol: Option<ProtocolType> = "Protocol" [, Always],
        /// Whether it arrives, whichever of the paths it takes.
        reaches: Option<bool> = "Reaches" [, Always],
        /// The paths: one, or one for each backend that a load balancer may choose.
        paths: Vec<TracePath> = "Paths" [, Always],
        /// What the kernel did with a packet that was sent for this purpose; with `Probe` only.
        live: Option<LiveTrace> = "Live" [],
    }

    /// One way that the packet may go.
    pub struct TracePath("TracePath") {
        /// Whether it arrives, and the answer comes back.
        reaches: Option<bool> = "Reaches" [, Always],
        /// Who gets it.
        receiver: Option<TraceReceiver> = "Receiver" [, Given],
        /// The endpoint that gets it.
        endpoint: Option<Guid> = "Endpoint" [],
        /// The other host that gets it, by its address on the network below.
        host: Option<String> = "Host" [],
        /// The source that the receiver sees.
        seen_as: Option<String> = "SeenAs" [],
        /// The places that it passes, in order.
        hops: Vec<TraceHop> = "Hops" [, Always],
        /// What stops it.
        obstacle: Option<TraceObstacle> = "Obstacle" [],
    }

    /// A place on the way.
    pub struct TraceHop("TraceHop") {
        /// Which place.
        place: Option<TracePlace> = "Place" [, Always],
        /// What happens there, in words.
        what: Option<String> = "What" [, Always],
        /// The source of the packet when it leaves the place.
        source: Option<String> = "Source" [],
        /// Its destination then: address, and port where the protocol has ports.
        destination: Option<String> = "Destination" [],
    }

    /// What stops a packet.
    pub struct TraceObstacle("TraceObstacle") {
        /// The kind of obstacle.
        kind: Option<TraceObstacleKind> = "Kind" [, Always],
        /// What is in the way, in words.
        message: Option<String> = "Message" [, Always],
        /// The object whose document says so: `endpoint`, `network` and so on.
        object: Option<String> = "Object" [],
        /// That object.
        id: Option<Guid> = "ID" [],
        /// The member of its document, such as `Policies[1]`.
        path: Option<String> = "Path" [],
        /// What to do about it.
        hint: Option<String> = "Hint" [],
    }

    /// What the kernel did with one packet.
    pub struct LiveTrace("LiveTrace") {
        /// Whether the packet passed every chain.
        passed: Option<bool> = "Passed" [, Always],
        /// Whether an answer came: a connection, a refusal, an echo.
        answered: Option<bool> = "Answered" [, Given],
        /// What came back, in words.
        answer: Option<String> = "Answer" [],
        /// What the chains said, in order.
        steps: Vec<LiveStep> = "Steps" [, Always],
    }

    /// What one chain did.
    pub struct LiveStep("LiveStep") {
        /// The table, with its family.
        table: Option<String> = "Table" [],
        /// The chain.
        chain: Option<String> = "Chain" [, Always],
        /// The number of the rule in the kernel; none for the chain's own policy.
        rule: Option<u64> = "Rule" [],
        /// The verdict: `accept`, `drop`, `goto pass4`, ...
        verdict: Option<String> = "Verdict" [, Always],
        /// The source of the packet then.
        source: Option<String> = "Source" [],
        /// Its destination then.
        destination: Option<String> = "Destination" [],
    }
}

kinds! {
    /// Places on the way of a packet.
    pub enum TracePlace {
        /// The namespace that it leaves, by its routes.
        Namespace [],
        /// The port, where its source is looked at.
        Port [],
        /// A tunnel from another host.
        Tunnel [],
        /// Where the host gets it from the link.
        Uplink [],
        /// A process of the host.
        Host [],
        /// Destination translation: load balancers, published ports.
        Translation [],
        /// The host's routing.
        Routing [],
        /// The access rules of the sender.
        SenderRules [],
        /// The access rules of the receiver.
        ReceiverRules [],
        /// What networks let through.
        Filter [],
        /// Source translation.
        Masquerade [],
        /// The end of the way.
        Arrival [],
    }

    /// Who gets a packet.
    pub enum TraceReceiver {
        /// An endpoint of this host.
        Endpoint [],
        /// This host itself.
        Host [],
        /// Whoever is outside.
        Outside [],
        /// Another host of the same overlay.
        OtherHost [],
    }

    /// What can stop a packet.
    pub enum TraceObstacleKind {
        /// The endpoint is in no namespace.
        NotAttached [],
        /// An end has no address of the family.
        NoAddress [],
        /// The sender has no route.
        NoRoute [],
        /// The source is not one that the sender may use.
        Spoofed [],
        /// The sender's access rules.
        SenderRule [],
        /// The receiver's access rules.
        ReceiverRule [],
        /// Nobody has the address.
        NobodyThere [],
        /// The load balancer has no backend.
        NoBackend [],
        /// The host does not forward.
        NotForwarding [],
        /// DisableInterComputeCommunication.
        Isolated [],
        /// The two are on different networks, or on parts of one that do not see each other.
        OtherNetwork [],
        /// The network has no way outside.
        NoWayOut [],
        /// What comes from outside reaches only what is published.
        NotPublished [],
        /// A Private network and the host do not see each other.
        Private [],
        /// An Overlay network without HostRoute and the host do not see each other.
        NoHostRoute [],
        /// A ConstrainedICS network reaches nothing that is near the host.
        Constrained [],
        /// Somebody else gets it.
        SomebodyElse [],
        /// It arrives; the answer has no way back.
        NoWayBack [],
    }
}
