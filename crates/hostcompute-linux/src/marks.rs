//! Our marks on the host: how links that we made are told from those of others.

use hostcompute_engine::plan::{DYING_GROUP, PORT_GROUP};

use crate::anchor::DEVICE_GROUP;
use crate::pool::POOL_GROUP;
use crate::route::link::Link;

/// Whether the link carries one of our groups. Names prove nothing: other programs use `he…` too.
pub(crate) fn is_ours(link: &Link) -> bool {
    [PORT_GROUP, DYING_GROUP, DEVICE_GROUP, POOL_GROUP].contains(&link.group)
}
