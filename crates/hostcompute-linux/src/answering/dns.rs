//! DNS messages (RFC 1035, 6891): one question is understood, answers of our own are printed, everything else is passed on as it is.
//!
//! A relay must not understand more than it passes on, so this reads the header and the question and no records: a package for all of DNS
//! would refuse what it does not know.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const A: u16 = 1;
pub(super) const PTR: u16 = 12;
pub(super) const AAAA: u16 = 28;
const ANY: u16 = 255;
const OPT: u16 = 41;
const INTERNET: u16 = 1;

const HEADER: usize = 12;
/// What every client takes, over UDP.
const SMALLEST: usize = 512;
/// What we send at most without being cut to pieces on the way.
const LARGEST: usize = 1232;
/// For how long an answer of ours may be remembered: endpoints come and go.
const SECONDS: u32 = 5;

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Good = 0,
    ServerFailure = 2,
    NoSuchName = 3,
}

/// A query with one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    pub id: u16,
    /// In lower case, without the last dot.
    pub name: String,
    pub kind: u16,
    class: u16,
    /// The question as it was asked, case and all.
    question: Vec<u8>,
    recursion: bool,
    /// What the client takes over UDP, and whether it said so (EDNS).
    size: usize,
    extended: bool,
}

/// Understands a query; `None` for what is none.
pub(super) fn read(message: &[u8]) -> Option<Query> {
    let flags = number(message, 2)?;
    // A query (no answer) of kind 0 with one question.
    if flags & 0xf800 != 0 || number(message, 4)? != 1 {
        return None;
    }
    let (name, end) = name(message, HEADER)?;
    let (kind, class) = (number(message, end)?, number(message, end + 2)?);
    let records = [number(message, 6)?, number(message, 8)?, number(message, 10)?];
    let extended = extension(message, end + 4, records);
    Some(Query {
        id: number(message, 0)?,
        name,
        kind,
        class,
        question: message.get(HEADER..end + 4)?.to_vec(),
        recursion: flags & 0x0100 != 0,
        size: extended.unwrap_or(SMALLEST).clamp(SMALLEST, LARGEST),
        extended: extended.is_some(),
    })
}

/// The size that an OPT record names, where that is all that follows the question.
fn extension(message: &[u8], place: usize, records: [u16; 3]) -> Option<usize> {
    let is_opt = records == [0, 0, 1] && message.get(place) == Some(&0);
    (is_opt && number(message, place + 1)? == OPT)
        .then(|| number(message, place + 3).map(usize::from))?
}

fn number(bytes: &[u8], place: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(place..place + 2)?.try_into().ok()?))
}

/// The name at a place, and where it ends. Names of questions have no references to others.
fn name(message: &[u8], mut place: usize) -> Option<(String, usize)> {
    let mut text = String::new();
    loop {
        let length = usize::from(*message.get(place)?);
        place += 1;
        if length == 0 {
            return Some((text, place));
        }
        if length > 63 || text.len() + length > 254 {
            return None;
        }
        if !text.is_empty() {
            text.push('.');
        }
        for byte in message.get(place..place + length)? {
            text.push(char::from(byte.to_ascii_lowercase()));
        }
        place += length;
    }
}

/// A name in the form of messages.
pub(super) fn encode(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        bytes.push(length);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    (bytes.len() <= 255).then_some(bytes)
}

/// The address that a reverse name speaks of.
pub(super) fn reversed(name: &str) -> Option<IpAddr> {
    if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
        let parts: Vec<u8> =
            digits.split('.').rev().map(str::parse).collect::<Result<_, _>>().ok()?;
        return <[u8; 4]>::try_from(parts).ok().map(|octets| Ipv4Addr::from(octets).into());
    }
    let digits = name.strip_suffix(".ip6.arpa")?;
    let mut bits: u128 = 0;
    let mut count = 0;
    for digit in digits.split('.').rev() {
        let one = u8::from_str_radix(digit, 16).ok().filter(|_| digit.len() == 1)?;
        bits = bits << 4 | u128::from(one);
        count += 1;
    }
    (count == 32).then(|| Ipv6Addr::from(bits).into())
}

/// What of our own is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Address(IpAddr),
    Pointer(String),
}

impl Record {
    fn kind(&self) -> u16 {
        match self {
            Self::Address(IpAddr::V4(_)) => A,
            Self::Address(IpAddr::V6(_)) => AAAA,
            Self::Pointer(_) => PTR,
        }
    }

    fn data(&self) -> Option<Vec<u8>> {
        match self {
            Self::Address(IpAddr::V4(address)) => Some(address.octets().to_vec()),
            Self::Address(IpAddr::V6(address)) => Some(address.octets().to_vec()),
            Self::Pointer(name) => encode(name),
        }
    }
}

/// The transport of an answer decides how long it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Udp,
    Tcp,
}

impl Query {
    /// Whether it is about addresses and names of the Internet.
    pub fn is_of_internet(&self) -> bool {
        matches!(self.class, INTERNET | ANY)
    }

    /// How long a UDP answer to it may be.
    pub fn room(&self) -> usize {
        self.size
    }

    /// An answer of our own, with those of the records that are of the kind asked for.
    pub fn answer(&self, code: Code, records: &[Record], over: Over) -> Vec<u8> {
        let room = if over == Over::Udp { self.size } else { usize::from(u16::MAX) };
        let mut body = Vec::new();
        let mut count: u16 = 0;
        let mut short = false;
        let before = HEADER + self.question.len() + 11;
        let fitting = |record: &&Record| self.kind == ANY || record.kind() == self.kind;
        for record in records.iter().filter(fitting) {
            let Some(data) = record.data() else { continue };
            let Ok(length) = u16::try_from(data.len()) else { continue };
            if before + body.len() + 12 + data.len() > room {
                short = true;
                break;
            }
            // The name is the question's.
            body.extend([0xc0, HEADER as u8]);
            body.extend(record.kind().to_be_bytes());
            body.extend(INTERNET.to_be_bytes());
            body.extend(SECONDS.to_be_bytes());
            body.extend(length.to_be_bytes());
            body.extend(data);
            count += 1;
        }
        let mut message = self.header(code, short, count);
        message.extend(body);
        self.extend(&mut message);
        message
    }

    /// Says that the answer is too long, so that the client asks over TCP.
    pub fn cut(&self) -> Vec<u8> {
        let mut message = self.header(Code::Good, true, 0);
        self.extend(&mut message);
        message
    }

    fn header(&self, code: Code, cut: bool, answers: u16) -> Vec<u8> {
        let asked = if self.recursion { 0x0100 } else { 0 };
        let flags = 0x8080 | asked | if cut { 0x0200 } else { 0 } | code as u16;
        let extra = u16::from(self.extended);
        let mut message = Vec::new();
        for number in [self.id, flags, 1, answers, 0, extra] {
            message.extend(number.to_be_bytes());
        }
        message.extend(&self.question);
        message
    }

    fn extend(&self, message: &mut Vec<u8>) {
        if self.extended {
            message.push(0);
            message.extend(OPT.to_be_bytes());
            message.extend((LARGEST as u16).to_be_bytes());
            message.extend([0; 6]);
        }
    }

    /// Whether a message is an answer to this question, asked under another number.
    pub fn is_answered_by(&self, id: u16, message: &[u8]) -> bool {
        let response = number(message, 2).is_some_and(|flags| flags & 0x8000 != 0);
        let same = name(message, HEADER).is_some_and(|(name, end)| {
            name == self.name
                && message.get(end..end + 4) == self.question.last_chunk::<4>().map(|t| &t[..])
        });
        // Some servers leave the question out when they refuse it.
        let bare = number(message, 4) == Some(0) && message.len() == HEADER;
        number(message, 0) == Some(id) && response && (same || bare)
    }
}

/// The same message under another number.
pub(super) fn renumbered(message: &[u8], id: u16) -> Vec<u8> {
    let mut copy = message.to_vec();
    for (place, byte) in copy.iter_mut().zip(id.to_be_bytes()) {
        *place = byte;
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u16, size: Option<u16>) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(size.is_some())];
        message.extend(encode(name).unwrap());
        message.extend([kind.to_be_bytes(), INTERNET.to_be_bytes()].concat());
        if let Some(size) = size {
            message.extend([0, 0, 41]);
            message.extend(size.to_be_bytes());
            message.extend([0; 6]);
        }
        message
    }

    #[test]
    fn a_question_is_read_and_answered_in_its_own_spelling() {
        let asked = read(&query("Web.Test", A, Some(4096))).unwrap();
        assert_eq!((asked.name.as_str(), asked.kind, asked.room()), ("web.test", A, LARGEST));
        let records = ["10.0.0.2", "fd00::2"].map(|text| Record::Address(text.parse().unwrap()));
        let answer = asked.answer(Code::Good, &records, Over::Udp);
        assert_eq!(answer[..12], [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 1]);
        assert_eq!(answer[12..22], *b"\x03Web\x04Test\0");
        assert!(answer.windows(6).any(|part| part == [0, 4, 10, 0, 0, 2]));
        assert!(asked.is_answered_by(0x1234, &answer));
        assert!(!asked.is_answered_by(0x1235, &answer));
    }

    #[test]
    fn what_is_too_long_is_cut_over_udp_alone() {
        let asked = read(&query("many", A, None)).unwrap();
        let records: Vec<Record> =
            (0..100).map(|n| Record::Address(IpAddr::from([10, 0, 0, n]))).collect();
        let answer = asked.answer(Code::Good, &records, Over::Udp);
        assert!(answer.len() <= SMALLEST && answer[2] & 2 != 0);
        let answer = asked.answer(Code::Good, &records, Over::Tcp);
        assert!(answer.len() > 1600 && answer[2] & 2 == 0);
    }

    #[test]
    fn reverse_names_are_addresses() {
        let check = |name: &str, address: &str| assert_eq!(reversed(name), address.parse().ok());
        check("2.0.0.10.in-addr.arpa", "10.0.0.2");
        check(&["2.", &"0.".repeat(27), "0.0.d.f.ip6.arpa"].concat(), "fd00::2");
        check("0.0.10.in-addr.arpa", "");
        check("example.test", "");
    }

    #[test]
    fn nonsense_is_no_question() {
        let whole = query("web", A, Some(512));
        for length in 0..whole.len() {
            let _ = read(&whole[..length]);
        }
        let mut answer = whole.clone();
        answer[2] |= 0x80;
        assert_eq!(read(&answer), None);
        let mut reference = whole;
        reference[HEADER] = 0xc0;
        assert_eq!(read(&reference), None);
    }
}
