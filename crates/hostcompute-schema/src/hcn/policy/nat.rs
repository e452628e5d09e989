//! Address and port translation (hcn.md 2.10).

use alloc::string::String;
use alloc::vec::Vec;

use crate::hcn::ProtocolType;

documents! {
    /// A port of the host that leads to the endpoint.
    pub struct PortMappingPolicySetting("PortMappingPolicySetting") {
        /// The protocol as its number.
        protocol: Option<ProtocolType> = "Protocol" ["2.0"],
        /// The port that the endpoint listens on.
        internal_port: Option<u16> = "InternalPort" ["2.0"],
        /// The port of the host; chosen by the service when zero.
        external_port: Option<u16> = "ExternalPort" ["2.0"],
        /// The address of the host; every address when empty.
        vip: Option<String> = "VIP" ["2.0"],
        /// Properties as a sum of bits.
        flags: Option<NatFlags> = "Flags" ["2.0"],
    }

    /// Translation of the source address of outgoing traffic.
    pub struct OutboundNatPolicySetting("OutboundNatPolicySetting") {
        /// The new source address; the host's when empty.
        virtual_ip: Option<String> = "VirtualIP" ["2.0"],
        /// Only traffic to these addresses and prefixes is translated.
        destinations: Vec<String> = "Destinations" ["2.0"],
        /// Traffic to these addresses and prefixes is not translated.
        exceptions: Vec<String> = "Exceptions" | "ExceptionList" ["2.0"],
        /// Properties as a sum of bits.
        flags: Option<NatFlags> = "Flags" ["2.0"],
        /// The most ports of the host that translated connections use; 0 is no limit. Only clients know it (hcsshim), no published schema.
        max_port_pool_usage: Option<u16> = "MaxPortPoolUsage" [],
    }
}

flags! {
    /// Properties of a translation.
    pub struct NatFlags {
        /// Nothing special.
        NONE = 0 "None" ["2.0"],
        /// It also applies to traffic of the host itself.
        LOCAL_ROUTED_VIP = 1 "LocalRoutedVip" ["2.0"],
        /// It is about IPv6.
        IPV6 = 2 "IPv6" ["2.8"],
        /// The caller holds the external port already.
        EXTERNAL_PORT_RESERVED = 4 "ExternalPortReserved" [],
    }
}
