//! Access rules and the sets of addresses they may name (hcn.md 2.12 to 2.14).

use alloc::string::String;
use alloc::vec::Vec;

/// The three published types of access rule have the same members.
macro_rules! access_rules {
    ($($(#[doc = $doc:literal])* $type:ident($name:literal);)*) => { documents! {$(
        $(#[doc = $doc])*
        pub struct $type($name) {
            /// Protocol numbers, joined by commas; empty or 256 means any.
            protocols: Option<String> = "Protocols" ["2.5"],
            /// Addresses and prefixes of the endpoint's side, joined by commas; empty means any.
            local_addresses: Option<String> = "LocalAddresses" ["2.5"],
            /// Addresses and prefixes of the peer, joined by commas; empty means any.
            remote_addresses: Option<String> = "RemoteAddresses" ["2.5"],
            /// Ports and ranges of ports of the endpoint's side, such as 80,8080-8090.
            local_ports: Option<String> = "LocalPorts" ["2.5"],
            /// Ports and ranges of ports of the peer.
            remote_ports: Option<String> = "RemotePorts" ["2.5"],
            /// The rank of the rule; the lowest that matches decides.
            priority: Option<u16> = "Priority" ["2.5"],
            /// A name of the rule, unique on the endpoint.
            id: Option<String> = "Id" ["2.0"],
            /// What becomes of packets that match.
            action: Option<ActionType> = "Action" ["2.0", Given],
            /// Whether the rule is about packets to or from the endpoint.
            direction: Option<DirectionType> = "Direction" ["2.0", Given],
            /// Where the rule is applied; Switch when absent.
            rule_type: Option<RuleType> = "RuleType" ["2.0", Given],
        }
    )*} };
}

access_rules! {
    /// An access rule of an endpoint.
    AclPolicySetting("AclPolicySetting");
    /// An access rule for all endpoints of a network.
    NetworkAclPolicySetting("NetworkAclPolicySetting");
    /// What access rules of endpoints and of networks have in common.
    CommonAclPolicySetting("CommonAclPolicySetting");
}

/// The two published types of packet description have the same members.
macro_rules! five_tuples {
    ($($(#[doc = $doc:literal])* $type:ident($name:literal);)*) => { documents! {$(
        $(#[doc = $doc])*
        pub struct $type($name) {
            /// Protocol numbers, joined by commas; empty or 256 means any.
            protocols: Option<String> = "Protocols" ["2.5"],
            /// Addresses and prefixes of the endpoint's side, joined by commas; empty means any.
            local_addresses: Option<String> = "LocalAddresses" ["2.5"],
            /// Addresses and prefixes of the peer, joined by commas; empty means any.
            remote_addresses: Option<String> = "RemoteAddresses" ["2.5"],
            /// Ports and ranges of ports of the endpoint's side, such as 80,8080-8090.
            local_ports: Option<String> = "LocalPorts" ["2.5"],
            /// Ports and ranges of ports of the peer.
            remote_ports: Option<String> = "RemotePorts" ["2.5"],
            /// The rank of the description; the lowest that matches decides.
            priority: Option<u16> = "Priority" ["2.5"],
        }
    )*} };
}

five_tuples! {
    /// Which packets are meant.
    FiveTuple("FiveTuple");
    /// Which packets are meant, inside a utility machine.
    FiveTuple2("FiveTuple_2");
}

documents! {
    /// A tier of access rules; tiers are asked in turn.
    pub struct TierAclPolicySetting("TierAclPolicySetting") {
        /// A label of the tier.
        name: Option<String> = "Name" ["2.10"],
        /// Whether the tier is about packets to or from the endpoint.
        direction: Option<DirectionType> = "Direction" ["2.10", Given],
        /// The rank of the tier; the lowest is asked first.
        order: Option<u16> = "Order" ["2.10"],
        /// The rules.
        tier_acl_rules: Vec<TierAclRule> = "TierAclRules" ["2.10"],
    }

    /// A rule of a tier.
    pub struct TierAclRule("TierAclRule", "2.10") {
        /// Protocol numbers, joined by commas; empty or 256 means any.
        protocols: Option<String> = "Protocols" ["2.5"],
        /// Addresses and prefixes of the endpoint's side, joined by commas; empty means any.
        local_addresses: Option<String> = "LocalAddresses" ["2.5"],
        /// Addresses and prefixes of the peer, joined by commas; empty means any.
        remote_addresses: Option<String> = "RemoteAddresses" ["2.5"],
        /// Ports and ranges of ports of the endpoint's side, such as 80,8080-8090.
        local_ports: Option<String> = "LocalPorts" ["2.5"],
        /// Ports and ranges of ports of the peer.
        remote_ports: Option<String> = "RemotePorts" ["2.5"],
        /// The rank of the rule in its tier; the lowest that matches decides.
        priority: Option<u16> = "Priority" ["2.5"],
        /// A name of the rule.
        id: Option<String> = "Id" ["2.10"],
        /// What becomes of packets that match.
        tier_acl_rule_action: Option<ActionType> = "TierAclRuleAction" ["2.10", Given],
    }

    /// A named set of addresses that access rules can refer to.
    pub struct SetPolicySetting("SetPolicySetting") {
        /// The key that rules name.
        id: Option<String> = "Id" ["2.0"],
        /// A label of the set.
        name: Option<String> = "Name" ["2.0"],
        /// Whether the values are addresses or other sets.
        policy_type: Option<SetPolicyTypes> = "PolicyType" ["2.0", Given],
        /// Addresses and prefixes, or ids of sets, joined by commas.
        values: Option<String> = "Values" ["2.0"],
    }
}

kinds! {
    /// What becomes of packets.
    pub enum ActionType {
        /// They pass.
        Allow ["2.0"],
        /// They are dropped.
        Block ["2.0"],
        /// The next tier decides.
        Pass ["2.10"],
    }

    /// Which way packets go, seen from the endpoint.
    pub enum DirectionType {
        /// To the endpoint.
        In ["2.0"],
        /// From the endpoint.
        Out ["2.0"],
    }

    /// Where an access rule is applied.
    pub enum RuleType {
        /// In the namespace's network stack.
        Host ["2.0"],
        /// On the endpoint's port.
        Switch ["2.0"],
    }

    /// What a set consists of.
    pub enum SetPolicyTypes {
        /// Addresses and prefixes.
        IPSET ["2.0"] = 0,
        /// Other sets.
        NESTEDIPSET ["2.0"] = 1,
    }
}
