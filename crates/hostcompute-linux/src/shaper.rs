//! Shapers and diversions: the messages that cap what endpoints send. See [`crate::route::queue`] for the mechanism.

use hostcompute_engine::plan::{DYING_GROUP, Diversion, Family, Shaper};

use crate::anchor::DEVICE_GROUP;
use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient};
use crate::route::link::{self, NewLink};
use crate::route::queue::{self, Redirect};

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
}

pub(crate) fn push_rate(datagram: &mut Datagram, step: usize, shaper: &Shaper) {
    let note = Note { step, aim: "set the rate", lenient: Lenient::Not };
    queue::push_bucket(datagram, note, shaper.index, shaper.bytes_per_second);
}

/// The device follows in the cleanup.
pub(crate) fn push_retire(datagram: &mut Datagram, step: usize, shaper: &Shaper) {
    let note = Note { step, aim: "retire the shaping device", lenient: Lenient::Absent };
    link::push_group(datagram, note, shaper.index, DYING_GROUP);
}

/// Diverts a port, in place of what diverts it now.
pub(crate) fn push_divert(datagram: &mut Datagram, step: usize, diversion: &Diversion) {
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    push_release(datagram, step, diversion);
    queue::push_ingress(datagram, note("tap the port"), diversion.index);
    for redirect in redirects(diversion) {
        queue::push_redirect(datagram, note("redirect the port"), diversion.index, redirect);
    }
}

/// The port sends freely again.
pub(crate) fn push_release(datagram: &mut Datagram, step: usize, diversion: &Diversion) {
    let note = Note { step, aim: "release the port", lenient: Lenient::NoQueue };
    queue::push_remove_ingress(datagram, note, diversion.index);
}

/// Behind the classifiers of all places.
const EVERYTHING: u16 = 0xfff0;

/// The classifiers of a diversion. The kernel asks them by priority, and those of one priority have one protocol, so each place has
/// two.
pub(crate) fn redirects(diversion: &Diversion) -> Vec<Redirect> {
    let mut redirects = Vec::new();
    for lane in &diversion.lanes {
        for source in &lane.sources {
            let second = u16::from(Family::of(source) == Family::V6);
            let place = u16::try_from(lane.place).unwrap_or(u16::MAX).min(EVERYTHING / 2 - 1);
            let priority = 1 + 2 * place + second;
            redirects.push(Redirect { priority, source: Some(*source), to: lane.shaper });
        }
        if lane.sources.is_empty() {
            redirects.push(Redirect { priority: EVERYTHING, source: None, to: lane.shaper });
        }
    }
    redirects.sort();
    redirects
}
