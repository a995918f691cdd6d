//! Just enough DER (X.690) to read the contents of extensions and of keys.
//!
//! Promises: no allocation, no recursion, and nothing is read beyond the slice that was handed in. Only what DER allows is
//! taken: one-octet tags, definite lengths in their shortest form.

/// The universal tags that are met here.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const SEQUENCE: u8 = 0x30;
}

/// Reads one element after the other.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of the elements in `rest`.
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// A reader of what is inside the one element that `der` consists of; `None` if it is not of `tag` or something follows it.
    pub(crate) fn inside(tag: u8, der: &'a [u8]) -> Option<Self> {
        let mut outer = Self::new(der);
        let content = outer.expect(tag)?;
        outer.is_empty().then_some(Self::new(content))
    }

    /// Whether nothing is left.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left, unread.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next element's tag, without reading it.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next element's tag and content; `None` at the end and at anything that is not DER.
    pub(crate) fn element(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.rest.split_first()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = octets.iter().fold(0_usize, |sum, octet| (sum << 8) | usize::from(*octet));
                if length < 0x80 || octets.first() == Some(&0) {
                    return None;
                }
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some((tag, content))
    }

    /// The content of the next element if it is of `tag`.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.peek() != Some(tag) {
            return None;
        }
        self.element().map(|(_, content)| content)
    }

    /// The magnitude of the next element, a non-negative INTEGER, without leading zero octets.
    pub(crate) fn unsigned(&mut self) -> Option<&'a [u8]> {
        match self.expect(tag::INTEGER)? {
            [] => None,
            [first, ..] if first & 0x80 != 0 => None,
            [0, rest @ ..] => Some(rest),
            content => Some(content),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shortest_definite_lengths_are_read() {
        assert_eq!(Reader::new(&[4, 1, 7]).element(), Some((4, &[7_u8][..])));
        for bad in
            [&[4, 0x81, 1, 7][..], &[4, 0x80, 7, 0, 0], &[4, 2, 7], &[0x1f, 1, 7], &[4, 0x82, 0, 200], &[]]
        {
            assert_eq!(Reader::new(bad).element(), None, "{bad:?}");
        }
    }

    #[test]
    fn trailing_octets_are_noticed() {
        assert!(Reader::inside(tag::SEQUENCE, &[0x30, 0]).is_some());
        assert!(Reader::inside(tag::SEQUENCE, &[0x30, 0, 0]).is_none());
    }
}
