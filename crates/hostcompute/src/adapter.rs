//! Adapters of this machine: which one networks that lead to other machines stand on.

use std::env::VarError;

pub use hostcompute_engine::host::Uplink as Adapter;
#[cfg(embedded)]
use hostcompute_linux::adapter as system;

#[cfg(windows)]
use crate::transport::windows::adapters as system;
use crate::{Failure, HResult};

/// The environment variable that names the adapter, whatever would be chosen otherwise.
pub const UPLINK_ENV: &str = "HOSTCOMPUTE_UPLINK_ADAPTER";

/// The adapters of the network namespace that the calling thread is in: links with MACs that are not the service's, those with a
/// default route first, then those with an address. On Windows those of its compartment: the default route of the least metric comes
/// first; other names are the description and the GUID.
///
/// # Errors
/// The kernel does not tell.
pub fn list() -> Result<Vec<Adapter>, Failure> {
    system::list()
}

/// The adapter that [`UPLINK_ENV`] names, by its name or another name; without the variable the first one of [`list`] that leads
/// anywhere. It is the one that the service chooses where a document says nothing of it.
///
/// ```no_run
/// use hostcompute::{Host, Network, Options, adapter};
///
/// # fn main() -> Result<(), hostcompute::Error> {
/// let host = Host::auto(Options::from_env())?;
/// let uplink = adapter::find_primary_adapter()?;
/// Network::create_transparent(&host, "lan", &uplink.name, "192.0.2.0/24", "192.0.2.1")?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// HCN_E_ADAPTER_NOT_FOUND.
pub fn find_primary_adapter() -> Result<Adapter, Failure> {
    let wish = match std::env::var(UPLINK_ENV) {
        Ok(name) if !name.is_empty() => Some(name),
        Err(VarError::NotUnicode(name)) => return Err(missing(&name.to_string_lossy())),
        _ => None,
    };
    choose(list()?, wish.as_deref())
}

fn choose(adapters: Vec<Adapter>, wish: Option<&str>) -> Result<Adapter, Failure> {
    let fits = |adapter: &Adapter| match wish {
        Some(name) => {
            is_alike(&adapter.name, name)
                || adapter.other_names.iter().any(|one| is_alike(one, name))
        }
        None => adapter.default_route || !adapter.addresses.is_empty(),
    };
    adapters.into_iter().find(fits).ok_or_else(|| match wish {
        Some(name) => missing(name),
        None => {
            let why = "no adapter of this machine leads to other machines";
            Failure::new(HResult::HCN_E_ADAPTER_NOT_FOUND, why)
        }
    })
}

/// Case does not count in names of adapters on Windows.
fn is_alike(one: &str, other: &str) -> bool {
    one == other || cfg!(windows) && one.to_lowercase() == other.to_lowercase()
}

fn missing(name: &str) -> Failure {
    let why = format!("there is no adapter {name:?}, which {UPLINK_ENV} names");
    Failure::new(HResult::HCN_E_ADAPTER_NOT_FOUND, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapters() -> Vec<Adapter> {
        let one = |name: &str, default_route, address: Option<&str>| Adapter {
            name: name.into(),
            other_names: vec![format!("{name}-other")],
            default_route,
            addresses: address.map(|text| text.parse().expect("a prefix")).into_iter().collect(),
            ..Adapter::default()
        };
        vec![one("bare", false, None), one("up0", false, Some("192.0.2.1/24"))]
    }

    #[test]
    fn the_one_that_is_named_or_the_first_that_leads_anywhere() {
        let chosen = |wish| choose(adapters(), wish).map(|adapter| adapter.name);
        assert_eq!(chosen(None).as_deref(), Ok("up0"));
        assert_eq!(chosen(Some("bare-other")).as_deref(), Ok("bare"));
        for (adapters, wish) in [(adapters(), Some("eth9")), (Vec::new(), None)] {
            let refused = choose(adapters, wish).expect_err("there is none");
            assert_eq!(refused.hresult, HResult::HCN_E_ADAPTER_NOT_FOUND);
        }
    }
}
