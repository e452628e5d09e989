//! Attributes: the type-length-value records that rtnetlink and nfnetlink share. One writer, one reader.

/// Marks an attribute that holds others; newer parts of the kernel insist on it.
const NESTED: u16 = 0x8000;
/// The bits of an attribute's type that name it; the rest are [`NESTED`] and the byte-order flag.
const TYPE_MASK: u16 = 0x3fff;
/// Length and type.
const HEADER: usize = 4;
/// Longest attribute the 16-bit length can describe.
pub(crate) const LONGEST: usize = 0xffff;

/// The end of a message under construction.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    bytes: &'a mut Vec<u8>,
}

impl<'a> Body<'a> {
    pub(crate) fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Appends a fixed header or other bytes that are no attribute.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self.pad();
        self
    }

    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        // Callers keep lists below LONGEST; single values are addresses, names and small structures.
        debug_assert!(value.len() + HEADER <= LONGEST, "attribute {kind} is too long");
        self.bytes.extend_from_slice(&((value.len() + HEADER) as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    pub(crate) fn put_u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.put(kind, &[value])
    }

    /// A 32-bit number in the machine's byte order (rtnetlink).
    pub(crate) fn put_u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// A 32-bit number in network byte order (nfnetlink).
    pub(crate) fn put_be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// A string with its terminating zero.
    pub(crate) fn put_text(&mut self, kind: u16, text: &str) -> &mut Self {
        debug_assert!(text.len() + HEADER < LONGEST, "attribute {kind} is too long");
        self.bytes.extend_from_slice(&((text.len() + 1 + HEADER) as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.pad();
        self
    }

    /// An attribute that holds what `content` writes.
    pub(crate) fn nest(&mut self, kind: u16, content: impl FnOnce(&mut Body<'_>)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        content(&mut Body { bytes: self.bytes });
        let length = self.bytes.len() - start;
        debug_assert!(length <= LONGEST, "nested attribute {kind} is too long");
        if let Some(place) = self.bytes.get_mut(start..start + 2) {
            place.copy_from_slice(&(length as u16).to_ne_bytes());
        }
        self
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// Reads attributes one after the other; stops at the first malformed one.
#[derive(Debug, Clone)]
pub(crate) struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The value of the first attribute of this type.
    pub(crate) fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.clone().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    pub(crate) fn get_u32(&self, kind: u16) -> Option<u32> {
        self.get(kind).and_then(u32_of)
    }

    pub(crate) fn get_be32(&self, kind: u16) -> Option<u32> {
        self.get_u32(kind).map(u32::from_be)
    }

    pub(crate) fn get_text(&self, kind: u16) -> Option<&'a str> {
        self.get(kind).and_then(text_of)
    }

    pub(crate) fn get_nested(&self, kind: u16) -> Option<Attributes<'a>> {
        self.get(kind).map(Attributes::new)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(array_of(self.rest, 0)?));
        let kind = u16::from_ne_bytes(array_of(self.rest, 2)?) & TYPE_MASK;
        let value = self.rest.get(HEADER..length)?;
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    }
}

/// The `N` bytes at `offset`.
pub(crate) fn array_of<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

pub(crate) fn u32_of(bytes: &[u8]) -> Option<u32> {
    array_of(bytes, 0).map(u32::from_ne_bytes)
}

/// A string up to its first zero.
pub(crate) fn text_of(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    std::str::from_utf8(bytes.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut bytes = Vec::new();
        Body::new(&mut bytes).put_text(3, "eth0").put_u32(4, 1500).nest(18, |info| {
            info.put_text(1, "veth").put_u8(2, 7);
        });
        assert_eq!(bytes.len() % 4, 0);
        let attributes = Attributes::new(&bytes);
        assert_eq!(attributes.get_text(3), Some("eth0"));
        assert_eq!(attributes.get_u32(4), Some(1500));
        let info = attributes.get_nested(18).unwrap();
        assert_eq!(info.get_text(1), Some("veth"));
        assert_eq!(info.get(2), Some(&[7][..]));
        assert_eq!(attributes.count(), 3);
    }

    #[test]
    fn malformed_attributes_end_the_list() {
        for bytes in [&[][..], &[1], &[3, 0, 1, 0], &[200, 0, 1, 0, 0, 0, 0, 0], &[0, 0, 0, 0]] {
            assert_eq!(Attributes::new(bytes).count(), 0, "{bytes:?}");
        }
    }
}
