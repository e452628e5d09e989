//! The MAC addresses that accelerated networking shall leave alone (HNS's `/accelnet/`). No adapter of this host is accelerated, so there is
//! nothing to except: the list is kept as it was said, over restarts, and told.

use hostcompute_engine::host::Host;
use hostcompute_engine::mac::Mac;
use hostcompute_schema::service::ManagementAddresses;
use hostcompute_schema::{Document, Failure, HResult, parse};

use crate::Service;

/// Under which name the list is kept.
pub(crate) const NAME: &str = "management-addresses";

/// More than this is no list of a host's own adapters.
const MOST: usize = 1024;

impl<H: Host> Service<H> {
    /// The list; empty where none was set.
    ///
    /// # Errors
    /// What is kept cannot be read.
    pub fn management_addresses(&self) -> Result<ManagementAddresses, Failure> {
        match self.store.named(NAME)? {
            Some(text) => Ok(parse(&text)?.document),
            None => Ok(ManagementAddresses::default()),
        }
    }

    /// Sets the list; answers it.
    ///
    /// # Errors
    /// HCN_E_INVALID_JSON, E_INVALIDARG for what is no MAC address, or what the disk refuses; nothing has changed then.
    pub fn set_management_addresses(&mut self, text: &str) -> Result<ManagementAddresses, Failure> {
        let wanted: ManagementAddresses = parse(text)?.document;
        let refused =
            |why: String, place: &str| Err(Failure::new(HResult::E_INVALIDARG, why).at(place));
        if wanted.mac_address_list.len() > MOST {
            return refused(format!("more than {MOST} addresses"), "MacAddressList");
        }
        for (index, one) in wanted.mac_address_list.iter().enumerate() {
            let address = one.mac_address.as_deref().unwrap_or_default();
            if address.parse::<Mac>().is_err() {
                let place = format!("MacAddressList[{index}].MacAddress");
                return refused(format!("{address:?} is no MAC address"), &place);
            }
        }
        self.store.set_named(NAME, &wanted.to_value().to_string())?;
        Ok(wanted)
    }
}
