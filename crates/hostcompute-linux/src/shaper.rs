//! Shapers: the messages that cap what a port sends. See [`crate::route::queue`] for the mechanism.

use hostcompute_engine::plan::{DYING_GROUP, Shaper};

use crate::anchor::{DEVICE_GROUP, Expect};
use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient};
use crate::route::link::{self, NewLink};
use crate::route::queue;

pub(crate) fn push_add(datagram: &mut Datagram, step: usize, shaper: &Shaper, expect: Expect) {
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    let part = |aim| Note {
        step,
        aim,
        lenient: match expect {
            Expect::Nothing => Lenient::Not,
            Expect::Leftovers => Lenient::Present,
        },
    };
    if expect == Expect::Nothing {
        link::push_new(
            datagram,
            note("make the shaping device"),
            NewLink {
                name: &shaper.name,
                index: shaper.index,
                mac: None,
                group: DEVICE_GROUP,
                mtu: None,
            },
            "ifb",
        );
    }
    link::push_settings(datagram, note("set up the shaping device"), shaper.index, &[], "");
    queue::push_bucket(datagram, note("set the rate"), shaper.index, shaper.bytes_per_second);
    link::push_up(datagram, note("bring the shaping device up"), shaper.index);
    if expect == Expect::Leftovers {
        // A redirection that is there may lead elsewhere.
        let gone = Note { step, aim: "redirect the port anew", lenient: Lenient::Absent };
        queue::push_remove_ingress(datagram, gone, shaper.port_index);
    }
    queue::push_ingress(datagram, part("tap the port"), shaper.port_index);
    queue::push_redirect(datagram, part("redirect the port"), shaper.port_index, shaper.index);
}

pub(crate) fn push_rate(datagram: &mut Datagram, step: usize, shaper: &Shaper) {
    let note = Note { step, aim: "set the rate", lenient: Lenient::Not };
    queue::push_bucket(datagram, note, shaper.index, shaper.bytes_per_second);
}

/// The port sends freely again; the device follows in the cleanup.
pub(crate) fn push_retire(datagram: &mut Datagram, step: usize, shaper: &Shaper) {
    let note = |aim| Note { step, aim, lenient: Lenient::Absent };
    queue::push_remove_ingress(datagram, note("release the port"), shaper.port_index);
    link::push_group(datagram, note("retire the shaping device"), shaper.index, DYING_GROUP);
}
