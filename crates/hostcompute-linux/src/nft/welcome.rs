//! Welcomes: what comes out of a tunnel is for this host, whatever MAC it is addressed to.
//!
//! ```text
//! table netdev hostcompute_hx…                        one for each tunnel
//!   chain comes, ingress of hx…                       meta pkttype other meta pkttype set host
//! ```
//!
//! Who knows of a single endpoint here (docker's overlays, Windows hosts) sends to that endpoint's MAC, who knows of a subnet to the host's
//! router. To the kernel the former are somebody else's, and are dropped before any table of ours sees them. A tunnel carries nothing that is
//! not for this host: the sender chose it.

use super::expression::{Expression, Meta};
use super::guise;
use crate::error::Error;
use crate::netlink::Socket;

pub(super) const CHAIN: &str = "comes";
/// NF_NETDEV_INGRESS.
const INGRESS: u32 = 0;
/// PACKET_HOST and PACKET_OTHERHOST (linux/if_packet.h).
const HOST: u8 = 0;
const OTHER_HOST: u8 = 3;

/// Makes the table of a tunnel, in place of any of its name.
pub(crate) fn put(socket: &mut Socket, tunnel: &str) -> Result<(), Error> {
    let mut batch = guise::at_device(tunnel, CHAIN, INGRESS);
    let rule = [
        Expression::Meta { key: Meta::PacketType, to: 0 },
        Expression::Compare { from: 0, equal: true, value: vec![OTHER_HOST] },
        Expression::Load { to: 0, value: vec![HOST] },
        Expression::SetPacketType { from: 0 },
    ];
    guise::push_rule(&mut batch, (&guise::table(tunnel), CHAIN), &rule);
    guise::carry_out(batch, socket)
}
