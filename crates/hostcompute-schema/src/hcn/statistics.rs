//! Counters of an endpoint (hcn.md 2.19). No published schema lists this document.

use alloc::string::String;

documents! {
    /// What went through an endpoint; directions are seen from inside it.
    pub struct EndpointStats("EndpointStats") {
        /// Bytes into the endpoint.
        bytes_received: Option<u64> = "BytesReceived" ["2.0", Given],
        /// Bytes out of the endpoint.
        bytes_sent: Option<u64> = "BytesSent" ["2.0", Given],
        /// Packets into the endpoint that were dropped.
        dropped_packets_incoming: Option<u64> = "DroppedPacketsIncoming" ["2.0", Given],
        /// Packets out of the endpoint that were dropped.
        dropped_packets_outgoing: Option<u64> = "DroppedPacketsOutgoing" ["2.0", Given],
        /// The id of the endpoint.
        endpoint_id: Option<String> = "EndpointId" ["2.0"],
        /// The id of the port that was counted.
        instance_id: Option<String> = "InstanceId" ["2.0"],
        /// Packets into the endpoint.
        packets_received: Option<u64> = "PacketsReceived" ["2.0", Given],
        /// Packets out of the endpoint.
        packets_sent: Option<u64> = "PacketsSent" ["2.0", Given],
    }
}
