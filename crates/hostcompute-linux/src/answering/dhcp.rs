//! DHCP messages (RFC 2131, 2132): what a client asks, and what it is told. Bytes in, bytes out.
//!
//! Reading and printing are here, not in a package: the format has stood still since 1997, a server of fixed leases needs a dozen options,
//! and the packages that know them all bring forty others along.

use std::net::Ipv4Addr;

use hostcompute_engine::mac::Mac;
use hostcompute_engine::plan::Lease;

/// How long a client may keep what it was told before it asks again; asked for again at half of it.
const LEASE_SECONDS: u32 = 3600;

const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const ETHERNET: u8 = 1;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Where options begin.
const OPTIONS: usize = 240;
/// Some clients refuse messages that are shorter than those of BOOTP.
const SHORTEST: usize = 300;
/// The options of a message that every client takes (RFC 2131, section 2).
const ROOM: usize = 308;

mod option {
    pub const PAD: u8 = 0;
    pub const MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const SERVERS: u8 = 6;
    pub const DOMAIN: u8 = 15;
    pub const MTU: u8 = 26;
    pub const BROADCAST: u8 = 28;
    pub const WANTED: u8 = 50;
    pub const TIME: u8 = 51;
    pub const KIND: u8 = 53;
    pub const SERVER: u8 = 54;
    pub const RENEW: u8 = 58;
    pub const REBIND: u8 = 59;
    pub const CLIENT: u8 = 61;
    pub const SEARCH: u8 = 119;
    pub const END: u8 = 255;
}

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const ASK: u8 = 3;
const ACKNOWLEDGE: u8 = 5;
const REFUSE: u8 = 6;
const INFORM: u8 = 8;

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
struct Question<'a> {
    kind: u8,
    transaction: [u8; 4],
    broadcast: bool,
    /// The address that it has.
    has: Ipv4Addr,
    mac: Mac,
    wanted: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    client: Option<&'a [u8]>,
}

/// Where an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    /// To everybody on the link: the client cannot be spoken to otherwise.
    All,
    One(Ipv4Addr),
}

/// The answer to a message, if it is one to answer and from who has the lease.
pub(super) fn answer(message: &[u8], lease: &Lease) -> Option<(To, Vec<u8>)> {
    let question = read(message)?;
    if question.mac != lease.mac || question.server.is_some_and(|server| server != lease.gateway) {
        return None;
    }
    let own = lease.address.addr();
    let has = Some(question.has).filter(|address| !address.is_unspecified());
    let kind = match question.kind {
        DISCOVER => OFFER,
        ASK if question.wanted.or(has) == Some(own) => ACKNOWLEDGE,
        ASK => REFUSE,
        INFORM => ACKNOWLEDGE,
        _ => return None,
    };
    let to = match (kind, has) {
        (REFUSE, _) => To::All,
        (_, Some(address)) => To::One(address),
        (_, None) if question.broadcast => To::All,
        (_, None) => To::One(own),
    };
    Some((to, write(&question, kind, lease)))
}

fn read(message: &[u8]) -> Option<Question<'_>> {
    let (fixed, options) = message.split_at_checked(OPTIONS)?;
    let part = |from: usize, length: usize| fixed.get(from..from + length);
    let relayed = part(24, 4)? != [0; 4];
    if part(0, 3)? != [REQUEST, ETHERNET, 6] || part(236, 4)? != COOKIE || relayed {
        return None;
    }
    let mut question = Question {
        kind: 0,
        transaction: part(4, 4)?.try_into().ok()?,
        broadcast: fixed.get(10)? & 0x80 != 0,
        has: address(part(12, 4)?)?,
        mac: Mac(part(28, 6)?.try_into().ok()?),
        wanted: None,
        server: None,
        client: None,
    };
    let mut rest = options;
    while let [code, tail @ ..] = rest {
        match *code {
            option::PAD => {
                rest = tail;
                continue;
            }
            option::END => break,
            _ => {}
        }
        let (length, tail) = tail.split_first()?;
        let (value, tail) = tail.split_at_checked(usize::from(*length))?;
        rest = tail;
        match *code {
            option::KIND => question.kind = *value.first()?,
            option::WANTED => question.wanted = address(value),
            option::SERVER => question.server = address(value),
            option::CLIENT => question.client = Some(value),
            _ => {}
        }
    }
    Some(question)
}

fn address(bytes: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from)
}

fn write(question: &Question<'_>, kind: u8, lease: &Lease) -> Vec<u8> {
    let given = matches!(question.kind, DISCOVER | ASK) && kind != REFUSE;
    let mut message = vec![0; OPTIONS];
    let mut put = |from: usize, bytes: &[u8]| {
        for (place, byte) in message.iter_mut().skip(from).zip(bytes) {
            *place = *byte;
        }
    };
    put(0, &[REPLY, ETHERNET, 6]);
    put(4, &question.transaction);
    put(10, &[if question.broadcast { 0x80 } else { 0 }]);
    if kind != REFUSE {
        put(12, &question.has.octets());
    }
    if given {
        put(16, &lease.address.addr().octets());
    }
    put(28, &question.mac.0);
    put(236, &COOKIE);
    let mut options = Options::default();
    options.put(option::KIND, &[kind]);
    options.put(option::SERVER, &lease.gateway.octets());
    if let Some(client) = question.client {
        options.put(option::CLIENT, client);
    }
    if given {
        options.put(option::TIME, &LEASE_SECONDS.to_be_bytes());
        options.put(option::RENEW, &(LEASE_SECONDS / 2).to_be_bytes());
        options.put(option::REBIND, &(LEASE_SECONDS / 8 * 7).to_be_bytes());
    }
    if kind != REFUSE {
        configuration(&mut options, lease);
    }
    message.extend(options.0);
    message.push(option::END);
    message.resize(message.len().max(SHORTEST), option::PAD);
    message
}

fn configuration(options: &mut Options, lease: &Lease) {
    options.put(option::MASK, &lease.address.netmask().octets());
    options.put(option::ROUTER, &lease.gateway.octets());
    options.put(option::BROADCAST, &lease.address.broadcast().octets());
    let servers: Vec<u8> = lease.servers.iter().take(4).flat_map(Ipv4Addr::octets).collect();
    options.put(option::SERVERS, &servers);
    if let Some(mtu) = lease.mtu.and_then(|mtu| u16::try_from(mtu).ok()) {
        options.put(option::MTU, &mtu.to_be_bytes());
    }
    if let Some(domain) = &lease.domain {
        options.put(option::DOMAIN, domain.as_bytes());
    }
    let mut search = Vec::new();
    for name in lease.search.iter().filter_map(|name| super::dns::encode(name)) {
        if search.len() + name.len() <= 255 {
            search.extend(name);
        }
    }
    options.put(option::SEARCH, &search);
}

/// Options that fit; what does not is left out, the most needed come first.
#[derive(Default)]
struct Options(Vec<u8>);

impl Options {
    fn put(&mut self, code: u8, value: &[u8]) {
        let Ok(length) = u8::try_from(value.len()) else { return };
        if length > 0 && self.0.len() + value.len() + 2 < ROOM {
            self.0.extend([code, length]);
            self.0.extend(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 7]);

    fn lease() -> Lease {
        Lease {
            port: "he1".into(),
            index: 1,
            mac: MAC,
            address: "10.0.0.7/24".parse().unwrap(),
            gateway: Ipv4Addr::new(10, 0, 0, 1),
            servers: vec![Ipv4Addr::new(10, 0, 0, 1)],
            domain: Some("test".into()),
            search: vec!["a.test".into(), "b.test".into()],
            mtu: Some(1400),
        }
    }

    fn ask(mac: Mac, options: &[u8]) -> Vec<u8> {
        let mut message = vec![0; OPTIONS];
        message[..3].copy_from_slice(&[REQUEST, ETHERNET, 6]);
        message[4..8].copy_from_slice(&[1, 2, 3, 4]);
        message[28..34].copy_from_slice(&mac.0);
        message[236..].copy_from_slice(&COOKIE);
        message.extend(options);
        message.push(option::END);
        message
    }

    fn kind(answer: &[u8]) -> u8 {
        answer[OPTIONS + 2]
    }

    #[test]
    fn who_has_the_lease_is_offered_it_and_gets_it() {
        let (to, offer) = answer(&ask(MAC, &[53, 1, DISCOVER]), &lease()).unwrap();
        assert_eq!((to, kind(&offer)), (To::One(Ipv4Addr::new(10, 0, 0, 7)), OFFER));
        assert_eq!(offer[16..20], [10, 0, 0, 7]);
        assert_eq!(offer[4..8], [1, 2, 3, 4]);
        let wanted = [53, 1, ASK, 50, 4, 10, 0, 0, 7, 54, 4, 10, 0, 0, 1];
        let (_, given) = answer(&ask(MAC, &wanted), &lease()).unwrap();
        assert_eq!(kind(&given), ACKNOWLEDGE);
        assert!(given.len() >= SHORTEST);
        let search = b"\x77\x10\x01a\x04test\0\x01b\x04test\0";
        assert!(given.windows(search.len()).any(|part| part == search), "{given:?}");
    }

    #[test]
    fn another_address_is_refused_and_another_server_left_to_answer() {
        let other = [53, 1, ASK, 50, 4, 10, 0, 0, 8];
        let (to, refused) = answer(&ask(MAC, &other), &lease()).unwrap();
        assert_eq!((to, kind(&refused)), (To::All, REFUSE));
        let elsewhere = [53, 1, ASK, 50, 4, 10, 0, 0, 7, 54, 4, 10, 0, 0, 2];
        assert_eq!(answer(&ask(MAC, &elsewhere), &lease()), None);
    }

    #[test]
    fn strangers_and_nonsense_get_no_answer() {
        assert_eq!(answer(&ask(Mac([2, 0, 0, 0, 0, 8]), &[53, 1, DISCOVER]), &lease()), None);
        let whole = ask(MAC, &[53, 1, DISCOVER, 50, 4, 10, 0]);
        for length in 0..whole.len() {
            let _ = answer(&whole[..length], &lease());
        }
        assert_eq!(answer(&whole, &lease()), None, "an option that is cut off");
    }

    #[test]
    fn what_is_too_long_for_a_message_is_left_out() {
        let long = Lease { domain: Some("d".repeat(255)), ..lease() };
        let (_, offer) = answer(&ask(MAC, &[53, 1, DISCOVER]), &long).unwrap();
        assert!(offer.len() <= OPTIONS + ROOM + 1);
    }
}
