//! IP protocol numbers (hcn.md 2.1, 2.17).

numbers! {
    /// An IP protocol. It travels as its number; the names are understood too.
    pub struct ProtocolType {
        /// Not given, or any.
        UNKNOWN = 0 "Unknown" ["2.0"],
        /// ICMP of IPv4.
        ICMPV4 = 1 "ICMPv4" | "ICMP" ["2.0"],
        /// IGMP.
        IGMP = 2 "IGMP" ["2.0"],
        /// TCP.
        TCP = 6 "TCP" ["2.0"],
        /// UDP.
        UDP = 17 "UDP" ["2.0"],
        /// ICMP of IPv6.
        ICMPV6 = 58 "ICMPv6" ["2.0"],
        /// SCTP, which Kubernetes sends.
        SCTP = 132 "SCTP" [],
    }
}
