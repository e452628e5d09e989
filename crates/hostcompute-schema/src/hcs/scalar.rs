//! Single values that only documents of the compute service have: hardware addresses, dates, the
//! size of a console, signals.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use serde_json::Value;

use super::ProcessSignal;
use crate::element::{Element, Excerpt, read_text};
use crate::reader::Reader;
use crate::schema::{Described, Kind};

/// A hardware address: printed with dashes, read with dashes or colons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

/// Why a text is not a hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMacAddress;

impl fmt::Display for InvalidMacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a hardware address (six pairs of hexadecimal digits, 00-15-5D-01-02-03)")
    }
}

impl core::error::Error for InvalidMacAddress {}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}-{b:02X}-{c:02X}-{d:02X}-{e:02X}-{g:02X}")
    }
}

impl FromStr for MacAddress {
    type Err = InvalidMacAddress;

    fn from_str(text: &str) -> Result<MacAddress, InvalidMacAddress> {
        let separator = if text.contains(':') { ':' } else { '-' };
        let mut parts = text.split(separator);
        let mut bytes = [0; 6];
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(InvalidMacAddress)?;
            let digits = part.bytes().all(|digit| digit.is_ascii_hexdigit());
            let read = u8::from_str_radix(part, 16).ok().filter(|_| digits);
            *byte = read.ok_or(InvalidMacAddress)?;
        }
        if parts.next().is_some() { Err(InvalidMacAddress) } else { Ok(MacAddress(bytes)) }
    }
}

impl Described for MacAddress {
    const KIND: Kind = Kind::Mac;
}

impl Element for MacAddress {
    fn from_json(value: &Value, reader: &mut Reader) -> Option<MacAddress> {
        let text = read_text(value, reader)?;
        let read = text.parse();
        if let Err(invalid) = read {
            reader.fail_schema(format!("{} is {invalid}", Excerpt(text)));
        }
        read.ok()
    }

    fn to_json(&self) -> Value {
        Value::from(self.to_string())
    }

    fn is_default(&self) -> bool {
        self.0 == [0; 6]
    }
}

/// A point in time as text (RFC 3339), kept as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DateTime(pub String);

const DAY: u64 = 86_400;

impl DateTime {
    /// The time so many seconds and nanoseconds after the beginning of 1970, in UTC, to the tenth of
    /// a microsecond, which is what Windows counts in.
    pub fn from_unix(seconds: u64, nanoseconds: u32) -> DateTime {
        let (year, month, day) = date(seconds / DAY);
        let of_day = seconds % DAY;
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        let ticks = nanoseconds / 100 % 10_000_000;
        DateTime(format!(
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ticks:07}Z"
        ))
    }

    /// `YYYY-MM-DDTHH:MM:SS`, a fraction or none, `Z` or an offset.
    fn is_well_formed(&self) -> bool {
        let fits = |text: &str, shape: &str| {
            text.len() == shape.len()
                && text.bytes().zip(shape.bytes()).all(|(byte, wanted)| match wanted {
                    b'0' => byte.is_ascii_digit(),
                    wanted => byte.eq_ignore_ascii_case(&wanted),
                })
        };
        let shape = "0000-00-00T00:00:00";
        let Some((front, rest)) = self.0.split_at_checked(shape.len()) else { return false };
        let zone = match rest.strip_prefix('.') {
            Some(fraction) => {
                let zone = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
                if zone.len() == fraction.len() {
                    return false;
                }
                zone
            }
            None => rest,
        };
        fits(front, shape) && (fits(zone, "Z") || fits(zone, "+00:00") || fits(zone, "-00:00"))
    }
}

/// Year, month and day of a number of days after the beginning of 1970.
fn date(days: u64) -> (u64, u64, u64) {
    // Years that begin in March put the leap day at their end; 719468 days lie between the
    // beginning of such a year 0 and 1970.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Described for DateTime {
    const KIND: Kind = Kind::Time;
}

impl Element for DateTime {
    fn from_json(value: &Value, reader: &mut Reader) -> Option<DateTime> {
        let time = DateTime(read_text(value, reader)?.into());
        if !time.is_well_formed() {
            reader.fail_schema(format!(
                "{} is not a time such as 2026-01-31T12:00:00Z",
                Excerpt(&time.0)
            ));
            return None;
        }
        Some(time)
    }

    fn to_json(&self) -> Value {
        Value::from(self.0.as_str())
    }

    fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

/// Exactly two numbers, such as the height and the width of a console.
impl Described for [u16; 2] {
    const KIND: Kind = Kind::Pair(&Kind::Unsigned(16));
}

impl Element for [u16; 2] {
    fn from_json(value: &Value, reader: &mut Reader) -> Option<[u16; 2]> {
        let list = <alloc::vec::Vec<u16> as Element>::from_json(value, reader)?;
        let read = <[u16; 2]>::try_from(list.as_slice()).ok();
        // An element that was refused has been told of.
        if read.is_none() && value.as_array().is_some_and(|elements| elements.len() != 2) {
            reader.fail_schema("expected two numbers: height and width");
        }
        read
    }

    fn to_json(&self) -> Value {
        self.to_vec().to_json()
    }

    fn is_default(&self) -> bool {
        *self == [0, 0]
    }
}

/// What a process is sent: one of the events of a console, or the number that a Linux guest takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// An event of a console.
    Event(ProcessSignal),
    /// A number of Linux; accepted beyond the published schema, as hcsshim sends it.
    Number(u32),
}

impl Described for Signal {
    const KIND: Kind = ProcessSignal::KIND;
}

impl Element for Signal {
    fn from_json(value: &Value, reader: &mut Reader) -> Option<Signal> {
        match value {
            Value::Number(_) => u32::from_json(value, reader).map(Signal::Number),
            value => ProcessSignal::from_json(value, reader).map(Signal::Event),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Signal::Event(event) => event.to_json(),
            Signal::Number(number) => number.to_json(),
        }
    }

    fn is_default(&self) -> bool {
        *self == Signal::Event(ProcessSignal::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_are_read_in_both_forms_and_printed_in_one() {
        for text in ["00-15-5D-0a-02-03", "00:15:5d:0A:02:03"] {
            assert_eq!(text.parse::<MacAddress>().unwrap().to_string(), "00-15-5D-0A-02-03");
        }
        for text in [
            "",
            "00-15",
            "00-15-5d-01-02-03-04",
            "00-15:5d-01-02-03",
            "0-15-5d-01-02-033",
            "+0-15-5d-01-02-03",
        ] {
            assert_eq!(text.parse::<MacAddress>(), Err(InvalidMacAddress), "{text}");
        }
    }

    #[test]
    fn times_are_written_as_windows_counts_them() {
        for (seconds, nanoseconds, text) in [
            (0, 0, "1970-01-01T00:00:00.0000000Z"),
            (951_782_400, 123_456_789, "2000-02-29T00:00:00.1234567Z"),
            (1_772_323_199, 999_999_999, "2026-02-28T23:59:59.9999999Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.0000000Z"),
        ] {
            let time = DateTime::from_unix(seconds, nanoseconds);
            assert_eq!(time.0, text);
            assert!(time.is_well_formed());
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for good in ["2026-01-31T12:00:00Z", "2026-01-31t12:00:00.5+02:00"] {
            assert!(DateTime(good.into()).is_well_formed(), "{good}");
        }
        for wrong in ["", "2026", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31T12:00:00.Z", "é"]
        {
            assert!(!DateTime(wrong.into()).is_well_formed(), "{wrong}");
        }
    }
}
