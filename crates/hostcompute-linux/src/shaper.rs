//! Shapers: the messages that cap what a port sends. See [`crate::route::queue`] for the mechanism.

use hostcompute_engine::plan::{DYING_GROUP, Shaper};

use crate::anchor::DEVICE_GROUP;
use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient};
use crate::route::link::{self, NewLink};
use crate::route::queue;

pub(crate) fn push_add(datagram: &mut Datagram, step: usize, shaper: &Shaper) {
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    let new = NewLink {
        name: &shaper.name,
        index: shaper.index,
        mac: None,
        group: DEVICE_GROUP,
        mtu: None,
    };
    link::push_new(datagram, note("make the shaping device"), new, "ifb");
    link::push_settings(datagram, note("set up the shaping device"), shaper.index, &[], "");
    queue::push_bucket(datagram, note("set the rate"), shaper.index, shaper.bytes_per_second);
    link::push_up(datagram, note("bring the shaping device up"), shaper.index);
    queue::push_ingress(datagram, note("tap the port"), shaper.port_index);
    queue::push_redirect(datagram, note("redirect the port"), shaper.port_index, shaper.index);
}

pub(crate) fn push_rate(datagram: &mut Datagram, step: usize, shaper: &Shaper) {
    let note = Note { step, aim: "set the rate", lenient: Lenient::Not };
    queue::push_bucket(datagram, note, shaper.index, shaper.bytes_per_second);
}

/// The port sends freely again; the device follows in the cleanup.
pub(crate) fn push_retire(datagram: &mut Datagram, step: usize, shaper: &Shaper) {
    let note = |aim| Note { step, aim, lenient: Lenient::Absent };
    let release = Note { step, aim: "release the port", lenient: Lenient::NoQueue };
    queue::push_remove_ingress(datagram, release, shaper.port_index);
    link::push_group(datagram, note("retire the shaping device"), shaper.index, DYING_GROUP);
}
