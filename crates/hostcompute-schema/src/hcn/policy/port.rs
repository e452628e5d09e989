//! Properties of an endpoint's port and interface (hcn.md 2.10).

use alloc::string::String;

documents! {
    /// A limit of bandwidth.
    pub struct QosPolicySetting("QosPolicySetting") {
        /// The most that the endpoint may send, in bytes per second.
        maximum_outgoing_bandwidth_in_bytes: Option<u64> =
            "MaximumOutgoingBandwidthInBytes" ["2.0"],
    }

    /// The name of a port.
    pub struct PortnameEndpointPolicySetting("PortnameEndpointPolicySetting") {
        /// The name; chosen by the service when empty.
        name: Option<String> = "Name" ["2.0"],
    }

    /// Room that encapsulation needs in each packet.
    pub struct EncapOverheadEndpointPolicySetting("EncapOverheadEndpointPolicySetting") {
        /// The bytes that the MTU is lowered by.
        overhead: Option<u16> = "Overhead" ["2.0"],
    }

    /// Parameters of the interface.
    pub struct InterfaceParametersPolicySetting("InterfaceParametersPolicySetting") {
        /// The largest packet, in bytes.
        mtu: Option<u16> = "Mtu" ["2.4"],
    }

    /// Virtual functions of the adapter.
    pub struct IovPolicySetting("IovPolicySetting") {
        /// The weight among ports that want a virtual function; zero switches it off.
        iov_offload_weight: Option<u32> = "IovOffloadWeight" ["2.9"],
        /// How many pairs of queues are asked for.
        queue_pairs_requested: Option<u32> = "QueuePairsRequested" ["2.9"],
        /// How interrupts are bundled.
        interrupt_moderation: Option<IovInterruptModerationType> = "InterruptModeration" ["2.9"],
    }

    /// A firewall between a guest and the host.
    pub struct FirewallPolicySetting("FirewallPolicySetting") {
        /// The kind of guest.
        vm_type: Option<FirewallVMType> = "VmType" ["2.16"],
        /// Properties as a sum of bits.
        firewall_policy_flags: Option<FirewallPolicyFlags> = "FirewallPolicyFlags" ["2.16"],
    }
}

kinds! {
    /// How interrupts are bundled. Clients also send the numbers of the hypervisor's own interface.
    pub enum IovInterruptModerationType {
        /// As the adapter does by itself.
        IovInterruptModerationDefault ["2.9"] = 0,
        /// As the load demands.
        IovInterruptModerationAdaptive ["2.9"] = 1,
        /// Not at all.
        IovInterruptModerationOff ["2.9"] = 2,
        /// A little.
        IovInterruptModerationLow ["2.9"] = 100,
        /// More.
        IovInterruptModerationMedium ["2.9"] = 200,
        /// Much.
        IovInterruptModerationHigh ["2.9"] = 300,
    }

    /// The kinds of guest that a firewall knows.
    pub enum FirewallVMType {
        /// None.
        Invalid ["2.16"],
        /// The host.
        Host ["2.16"],
        /// The Windows subsystem for Android.
        WSA ["2.16"],
        /// The Windows subsystem for Linux.
        WSL ["2.16"],
    }
}

flags! {
    /// Properties of a firewall between guest and host.
    pub struct FirewallPolicyFlags {
        /// Nothing special.
        NONE = 0 "None" ["2.16"],
        /// The interface is restricted.
        CONSTRAINED_INTERFACE = 1 "ConstrainedInterface" ["2.16"],
    }
}
