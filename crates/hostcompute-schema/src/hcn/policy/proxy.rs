//! Redirection of traffic to a proxy (hcn.md 2.10).

use alloc::string::String;
use alloc::vec::Vec;

use crate::hcn::{FiveTuple, ProtocolType};

/// The three published types of redirection in the switch have the same members.
macro_rules! switch_proxies {
    ($($(#[doc = $doc:literal])* $type:ident($name:literal);)*) => { documents! {$(
        $(#[doc = $doc])*
        pub struct $type($name) {
            /// The address that is redirected.
            ip: Option<String> = "IP" ["2.0"],
            /// The port that is redirected.
            port: Option<String> = "Port" ["2.0"],
            /// The protocol that is redirected, as its number.
            protocol: Option<ProtocolType> = "Protocol" ["2.0"],
            /// Addresses and prefixes that are not redirected.
            exception_list: Vec<String> = "ExceptionList" | "Exceptions" ["2.0"],
            /// Where the traffic goes instead, as address and port.
            destination: Option<String> = "Destination" ["2.0"],
            /// Whether the source address is translated too.
            outbound_nat: Option<bool> = "OutboundNat" ["2.0"],
        }
    )*} };
}

switch_proxies! {
    /// A redirection in the switch.
    L4ProxyPolicySetting("L4ProxyPolicySetting");
    /// A redirection in the switch, for a guest.
    L4ProxyPolicySetting2("L4ProxyPolicySetting_2");
    /// What redirections in the switch have in common.
    CommonL4ProxyPolicySetting("CommonL4ProxyPolicySetting");
}

documents! {
    /// A redirection in the namespace, as service meshes use it.
    pub struct L4WfpProxyPolicySetting("L4WfpProxyPolicySetting") {
        /// The port of the proxy for incoming connections.
        inbound_proxy_port: Option<String> = "InboundProxyPort" ["2.11"],
        /// The port of the proxy for outgoing connections.
        outbound_proxy_port: Option<String> = "OutboundProxyPort" ["2.11"],
        /// Which connections are redirected.
        filter_tuple: Option<FiveTuple> = "FilterTuple" ["2.5"],
        /// The user whose connections are not redirected: the proxy itself.
        user_sid: Option<String> = "UserSID" ["2.5"],
        /// Incoming connections that are not redirected.
        inbound_exceptions: Option<ProxyExceptions> = "InboundExceptions" ["2.14"],
        /// Outgoing connections that are not redirected.
        outbound_exceptions: Option<ProxyExceptions> = "OutboundExceptions" ["2.14"],
    }

    /// Connections that are not redirected.
    pub struct ProxyExceptions("ProxyExceptions") {
        /// Addresses and prefixes of the peer.
        ip_address_exceptions: Vec<String> = "IpAddressExceptions" ["2.14"],
        /// Ports.
        port_exceptions: Vec<String> = "PortExceptions" ["2.14"],
    }
}
