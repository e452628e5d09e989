//! Which addresses an endpoint gets (hcn.md 2.8, 3.4): those it asks for, or the next free ones.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{Failure, HResult, IpConfig};
use ipnet::IpNet;

use crate::network::network::{Mode, Network};
use crate::network::subnet::{Subnet, address, is_leased, number};
use crate::plan::Family;
use crate::state::State;

/// The most addresses one endpoint may have.
const MOST: usize = 16;

/// Chooses the addresses of a new endpoint, in the order of its IpConfigurations.
///
/// # Errors
/// HCN_E_SUBNET_NOT_FOUND, HCN_E_INVALID_IP, HCN_E_ADDR_INVALID_OR_RESERVED, HCN_E_INVALID_PREFIX,
/// HCN_E_INVALID_ENDPOINT, each at the member concerned.
pub fn choose(
    state: &State,
    network: &Network,
    wishes: &[IpConfig],
) -> Result<Vec<IpNet>, Failure> {
    let nothing = |wish: &IpConfig| {
        wish.ip_address.as_deref().is_none_or(str::is_empty)
            && wish.ip_subnet_id.is_none_or(|id| id.is_zero())
    };
    if network.mode == Mode::Transparent && network.subnets.is_empty() && wishes.iter().all(nothing)
    {
        // What runs in it finds its own address on the wire, or asks for one there.
        return Ok(Vec::new());
    }
    if network.subnets.is_empty() {
        let leased = network.document.ipams.iter().any(is_leased);
        let (why, hint) = match leased {
            true => (
                "addresses of the network are given by a server on its wire",
                "leave IpConfigurations out: what runs in the endpoint asks for its address",
            ),
            false => (
                "the network has no subnet, so an endpoint cannot have an address",
                "create the network with Ipams[0].Subnets[0].IpAddressPrefix",
            ),
        };
        return Err(Failure::new(HResult::HCN_E_SUBNET_NOT_FOUND, why)
            .at("HostComputeNetwork")
            .hint(hint));
    }
    if wishes.len() > MOST {
        let why = alloc::format!("an endpoint has at most {MOST} addresses");
        return Err(Failure::new(HResult::HCN_E_INVALID_ENDPOINT, why).at("IpConfigurations"));
    }
    let mut chosen: Vec<IpNet> = Vec::new();
    for (i, wish) in wishes.iter().enumerate() {
        let path = alloc::format!("IpConfigurations[{i}]");
        chosen.push(choose_one(state, network, wish, &chosen, &path)?);
    }
    if wishes.is_empty() {
        for family in [Family::V4, Family::V6] {
            if network.subnets.iter().any(|subnet| subnet.family() == family) {
                let (subnet, address) =
                    next_free(state, network, |subnet| subnet.family() == family, &chosen)?;
                chosen.push(with_length(address, subnet.prefix.prefix_len()));
            }
        }
    }
    Ok(chosen)
}

fn choose_one(
    state: &State,
    network: &Network,
    wish: &IpConfig,
    chosen: &[IpNet],
    path: &str,
) -> Result<IpNet, Failure> {
    let named = wish.ip_subnet_id.filter(|id| !id.is_zero());
    if let Some(id) = named.filter(|id| !network.subnets.iter().any(|subnet| subnet.id == *id)) {
        let why = alloc::format!("the network has no subnet {id}");
        return Err(Failure::new(HResult::HCN_E_SUBNET_NOT_FOUND, why)
            .at(alloc::format!("{path}.IpSubnetId")));
    }
    let asked = wish.ip_address.as_deref().filter(|text| !text.is_empty());
    let is_named = |subnet: &Subnet| named.is_none_or(|id| subnet.id == id);
    let (subnet, address) = match asked {
        None => next_free(state, network, is_named, chosen)?,
        Some(text) => {
            let path = alloc::format!("{path}.IpAddress");
            let address = explicit(text, &path)?;
            let subnet = permitted(state, network, address, chosen, &path)?;
            if !is_named(subnet) {
                let why = alloc::format!("{address} is in {}, another subnet", subnet.prefix);
                return Err(Failure::new(HResult::HCN_E_INVALID_IP, why).at(path));
            }
            (subnet, address)
        }
    };
    let full = subnet.prefix.max_prefix_len();
    match wish.prefix_length.filter(|length| *length != 0) {
        Some(length) if length > full => {
            let why =
                alloc::format!("a prefix length of this family is at most {full}, not {length}");
            Err(Failure::new(HResult::HCN_E_INVALID_PREFIX, why)
                .at(alloc::format!("{path}.PrefixLength")))
        }
        length => Ok(with_length(address, length.unwrap_or(subnet.prefix.prefix_len()))),
    }
}

pub(crate) fn explicit(text: &str, path: &str) -> Result<IpAddr, Failure> {
    text.parse().map_err(|_| {
        Failure::new(HResult::HCN_E_INVALID_IP, alloc::format!("'{text}' is not an IP address"))
            .at(String::from(path))
    })
}

fn permitted<'a>(
    state: &State,
    network: &'a Network,
    address: IpAddr,
    chosen: &[IpNet],
    path: &str,
) -> Result<&'a Subnet, Failure> {
    let Some(subnet) = network.subnets.iter().find(|subnet| subnet.prefix.contains(&address))
    else {
        let ranges: Vec<String> =
            network.subnets.iter().map(|s| alloc::format!("{}", s.prefix)).collect();
        let why =
            alloc::format!("{address} is in no subnet of the network ({})", ranges.join(", "));
        return Err(Failure::new(HResult::HCN_E_INVALID_IP, why).at(String::from(path)));
    };
    let why = if subnet.reserves(address) {
        "is reserved (network, gateway or broadcast address)"
    } else if let Some(owner) = state.index.addresses.get(&(network.id, address)) {
        return Err(reserved(alloc::format!("{address} is in use by endpoint {owner}"), path));
    } else if state.index.vips.contains_key(&address) {
        "is the virtual IP of a load balancer"
    } else if chosen.iter().any(|other| other.addr() == address) {
        "is given twice"
    } else {
        return Ok(subnet);
    };
    Err(reserved(alloc::format!("{address} {why}"), path))
}

fn reserved(why: String, path: &str) -> Failure {
    Failure::new(HResult::HCN_E_ADDR_INVALID_OR_RESERVED, why)
        .at(String::from(path))
        .hint("leave IpAddress out to get a free address")
}

/// The lowest free address above the one given out last, so that a freed address rests before it is used again.
fn next_free<'a>(
    state: &State,
    network: &'a Network,
    fits: impl Fn(&Subnet) -> bool,
    chosen: &[IpNet],
) -> Result<(&'a Subnet, IpAddr), Failure> {
    for subnet in network.subnets.iter().filter(|subnet| fits(subnet)) {
        let from = state.cursor(network.id, subnet);
        if let Some(address) = free_in(state, network, subnet, from, chosen) {
            return Ok((subnet, address));
        }
    }
    let why = "every address of the network's subnets is in use";
    Err(Failure::new(HResult::HCN_E_ADDR_INVALID_OR_RESERVED, why).at("IpConfigurations"))
}

fn free_in(
    state: &State,
    network: &Network,
    subnet: &Subnet,
    from: u128,
    chosen: &[IpNet],
) -> Option<IpAddr> {
    let (first, last) = (number(subnet.prefix.network()), number(subnet.prefix.broadcast()));
    let usable = |n: &u128| {
        let address = address(subnet.family(), *n);
        !subnet.reserves(address)
            && !state.index.addresses.contains_key(&(network.id, address))
            && !state.index.vips.contains_key(&address)
            && !chosen.iter().any(|other| other.addr() == address)
    };
    let from = from.clamp(first, last);
    (from..=last)
        .find(usable)
        .or_else(|| (first..from).find(usable))
        .map(|n| address(subnet.family(), n))
}

fn with_length(address: IpAddr, length: u8) -> IpNet {
    IpNet::new(address, length).expect("the length was checked against the family")
}
