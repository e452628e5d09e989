//! Printing and reading again brings the same document back.

use hostcompute_schema::{Document, parse};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use crate::cases;
use crate::strategy::{Defaults, document};

/// Without explicit defaults, the printed form reads as the very same document.
fn brings_back<T: Document + PartialEq + std::fmt::Debug>() {
    let strategy = document(T::SCHEMA, Defaults::Avoided);
    let result = TestRunner::new(cases(48)).run(&strategy, |drawn| {
        let first = read::<T>(&drawn)?;
        let printed = first.to_value();
        let second = read::<T>(&printed)?;
        prop_assert_eq!(&first, &second);
        prop_assert_eq!(&printed, &second.to_value());
        in_order::<T>(&printed)
    });
    result.unwrap_or_else(|error| panic!("{}: {error}", T::SCHEMA.name));
}

/// With explicit defaults, which printing leaves out, the printed form is still a fixed point.
fn settles<T: Document>() {
    let strategy = document(T::SCHEMA, Defaults::Drawn);
    let result = TestRunner::new(cases(48)).run(&strategy, |drawn| {
        let printed = read::<T>(&drawn)?.to_value();
        let again = read::<T>(&printed)?;
        prop_assert_eq!(printed.to_string(), again.to_value().to_string());
        prop_assert_eq!(printed.to_string(), again.to_text());
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{}: {error}", T::SCHEMA.name));
}

fn read<T: Document>(value: &Value) -> Result<T, TestCaseError> {
    match parse::<T>(&value.to_string()) {
        Ok(parsed) => Ok(parsed.document),
        Err(failure) => Err(TestCaseError::fail(format!("{failure} in {value}"))),
    }
}

fn in_order<T: Document>(printed: &Value) -> Result<(), TestCaseError> {
    let places: Vec<usize> = printed
        .as_object()
        .into_iter()
        .flat_map(|object| object.keys())
        .filter_map(|name| T::SCHEMA.index_of(name))
        .collect();
    prop_assert!(places.is_sorted(), "{}", printed);
    Ok(())
}

macro_rules! round_trips {
    ($($type:ident),* $(,)?) => {
        #[test]
        fn printing_loses_nothing() {
            $(brings_back::<hostcompute_schema::$type>();)*
        }

        #[test]
        fn printing_settles_at_once() {
            $(settles::<hostcompute_schema::$type>();)*
        }
    };
}

round_trips! {
    HostComputeNetwork, HostComputeEndpoint, HostComputeNamespace, HostComputeLoadBalancer,
    HostComputeRoute, HostComputeQuery, HostComputePolicyList, HostDocument, GuestNetworkService,
    NetworkPolicy, EndpointPolicy, AclPolicySetting, NetworkAclPolicySetting, SetPolicySetting,
    TierAclPolicySetting, PortMappingPolicySetting, OutboundNatPolicySetting, QosPolicySetting,
    SdnRoutePolicySetting, L4ProxyPolicySetting, L4WfpProxyPolicySetting, EncryptionPolicySetting,
    RemoteSubnetRoutePolicySetting, InterfaceConstraintNetworkPolicySetting, IovPolicySetting,
    FirewallPolicySetting, VlanPolicySetting, VsidPolicySetting, ModifyNetworkSettingRequest,
    ModifyEndpointSettingRequest, ModifyNamespaceSettingRequest, SubnetNetworkRequest,
    IpSubnetNetworkRequest, NamespaceEndpointRequest, VmEndpointRequest, NotificationBase,
    GuestNetworkServiceNotificationData, EndpointStats, Response, GuestEndpointState, RegistryKey,
    Neighbor, Route2, Feature, BasePolicy, ExtraParams,
}
