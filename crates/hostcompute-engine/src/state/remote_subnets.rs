//! Looking up subnets behind other hosts: by address, and by the router that they are behind. No look-up costs more where there are
//! more of them.

use core::net::{IpAddr, Ipv4Addr};

use hostcompute_schema::Guid;
use ipnet::IpNet;

use crate::mac::Mac;
use crate::network::remote_subnet::RemoteSubnet;
use crate::state::State;

/// The least address there is: those of IPv4 come before those of IPv6.
const FIRST_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl State {
    /// The subnets behind other hosts that a network knows of, by address.
    pub fn remote_subnets_of(&self, network: Guid) -> impl Iterator<Item = &RemoteSubnet> {
        let found = self.index.remote_subnets.range((network, FIRST_ADDRESS)..);
        let ids = found.take_while(move |((owner, _), _)| *owner == network);
        ids.filter_map(|(_, id)| self.remote_subnets.get(*id).map(AsRef::as_ref))
    }

    /// The one that begins with an address.
    pub(crate) fn remote_subnet(&self, network: Guid, first: IpAddr) -> Option<&RemoteSubnet> {
        let id = self.index.remote_subnets.get(&(network, first))?;
        self.remote_subnets.get(*id).map(AsRef::as_ref)
    }

    /// The one that an address is in.
    pub(crate) fn remote_subnet_covering(
        &self,
        network: Guid,
        address: IpAddr,
    ) -> Option<&RemoteSubnet> {
        let until = (network, FIRST_ADDRESS)..=(network, address);
        let (_, id) = self.index.remote_subnets.range(until).next_back()?;
        let route = self.remote_subnets.get(*id).map(AsRef::as_ref);
        route.filter(|route| route.way.prefix.contains(&address))
    }

    /// Those that have some of these addresses.
    pub(crate) fn remote_subnets_overlapping(
        &self,
        network: Guid,
        net: &IpNet,
    ) -> impl Iterator<Item = &RemoteSubnet> {
        let around = self.remote_subnet_covering(network, net.network());
        let within = (network, net.network())..=(network, net.broadcast());
        let within = self.index.remote_subnets.range(within);
        let within = within.filter_map(|(_, id)| self.remote_subnets.get(*id));
        around.into_iter().chain(within.map(AsRef::as_ref))
    }

    /// Those behind a router.
    pub(crate) fn remote_subnets_behind(
        &self,
        network: Guid,
        mac: Mac,
    ) -> impl Iterator<Item = &RemoteSubnet> {
        let ids = self.index.routers.get(&(network, mac.to_u64())).into_iter().flatten();
        ids.filter_map(|id| self.remote_subnets.get(*id).map(AsRef::as_ref))
    }
}
