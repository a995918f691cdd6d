//! RDATA in presentation format, of the types that the decision does not know and people ask for all the same.
//!
//! Promises: what is printed is printable ASCII and stands for the very octets; RDATA that does not keep to its type's form, and types
//! that are not known here, are printed as RFC 3597 section 5 has it. At most four characters come of an octet.

use std::fmt::Write as _;

use data_encoding::{BASE64, HEXLOWER};
use revouch_validator::name::DnsName;
use revouch_validator::rr::{RecordData, RrType};

/// The presentation format, whole: unlike in verdicts nothing is cut.
pub(super) fn presentation(rr_type: RrType, record: &RecordData) -> String {
    match record {
        RecordData::Tlsa(tlsa) => {
            let data = HEXLOWER.encode(&tlsa.data);
            format!("{} {} {} {data}", tlsa.usage, tlsa.selector, tlsa.matching)
        }
        RecordData::Other(data) => known(rr_type, data).unwrap_or_else(|| unknown(data)),
        other => other.to_string(),
    }
}

fn unknown(data: &[u8]) -> String {
    if data.is_empty() { "\\# 0".to_owned() } else { format!("\\# {} {}", data.len(), HEXLOWER.encode(data)) }
}

/// `None` if the form is not known or not kept to.
fn known(rr_type: RrType, data: &[u8]) -> Option<String> {
    let mut rdata = Rdata(data);
    let text = match rr_type {
        RrType::NS | RrType::DNAME => rdata.name()?,
        RrType::MX => format!("{} {}", rdata.u16()?, rdata.name()?),
        RrType::SOA => {
            let (primary, mailbox) = (rdata.name()?, rdata.name()?);
            let numbers = [rdata.u32()?, rdata.u32()?, rdata.u32()?, rdata.u32()?, rdata.u32()?];
            format!("{primary} {mailbox} {}", numbers.map(|number| number.to_string()).join(" "))
        }
        RrType::TXT | SPF => rdata.strings()?,
        HINFO => format!("{} {}", rdata.string()?, rdata.string()?),
        RrType::NAPTR => {
            let (order, preference) = (rdata.u16()?, rdata.u16()?);
            let (flags, services, regexp) = (rdata.string()?, rdata.string()?, rdata.string()?);
            format!("{order} {preference} {flags} {services} {regexp} {}", rdata.name()?)
        }
        RrType::DS | CDS => {
            let (tag, algorithm, digest_type) = (rdata.u16()?, rdata.u8()?, rdata.u8()?);
            format!("{tag} {algorithm} {digest_type} {}", HEXLOWER.encode(rdata.rest()?))
        }
        RrType::DNSKEY | CDNSKEY => {
            let (flags, protocol, algorithm) = (rdata.u16()?, rdata.u8()?, rdata.u8()?);
            format!("{flags} {protocol} {algorithm} {}", BASE64.encode(rdata.rest()?))
        }
        NSEC3PARAM => {
            let (hash, flags, iterations, length) = (rdata.u8()?, rdata.u8()?, rdata.u16()?, rdata.u8()?);
            let salt = HEXLOWER.encode(rdata.take(length.into())?);
            format!("{hash} {flags} {iterations} {}", if salt.is_empty() { "-" } else { &salt })
        }
        RrType::CERT => {
            let (kind, tag, algorithm) = (rdata.u16()?, rdata.u16()?, rdata.u8()?);
            format!("{kind} {tag} {algorithm} {}", BASE64.encode(rdata.rest()?))
        }
        RrType::SSHFP => {
            let (algorithm, kind) = (rdata.u8()?, rdata.u8()?);
            format!("{algorithm} {kind} {}", HEXLOWER.encode(rdata.rest()?))
        }
        RrType::SMIMEA => {
            let (usage, selector, matching) = (rdata.u8()?, rdata.u8()?, rdata.u8()?);
            format!("{usage} {selector} {matching} {}", HEXLOWER.encode(rdata.rest()?))
        }
        RrType::OPENPGPKEY => BASE64.encode(rdata.rest()?),
        RrType::URI => format!("{} {} {}", rdata.u16()?, rdata.u16()?, quoted(rdata.rest()?)),
        _ => return None,
    };
    rdata.0.is_empty().then_some(text)
}

/// Types without a mnemonic in the validator.
const HINFO: RrType = RrType(13);
const NSEC3PARAM: RrType = RrType(51);
const CDS: RrType = RrType(59);
const CDNSKEY: RrType = RrType(60);
const SPF: RrType = RrType(99);

/// What is still to be read.
struct Rdata<'a>(&'a [u8]);

impl<'a> Rdata<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// Everything that is left; there has to be some, as an empty field could not be read back.
    fn rest(&mut self) -> Option<&'a [u8]> {
        self.take(self.0.len()).filter(|rest| !rest.is_empty())
    }

    /// An uncompressed name (RFC 1035 section 3.1).
    fn name(&mut self) -> Option<String> {
        let mut labels = Vec::new();
        loop {
            match self.u8()? {
                0 => return DnsName::from_labels(labels).ok().map(|name| name.to_string()),
                length @ 1..=63 => labels.push(self.take(length.into())?),
                _ => return None,
            }
        }
    }

    /// A character-string (RFC 1035 section 3.3).
    fn string(&mut self) -> Option<String> {
        let length = self.u8()?;
        self.take(length.into()).map(quoted)
    }

    /// One or more character-strings.
    fn strings(&mut self) -> Option<String> {
        let mut text = self.string()?;
        while !self.0.is_empty() {
            text.push(' ');
            text.push_str(&self.string()?);
        }
        Some(text)
    }
}

/// In quotes, as RFC 1035 section 5.1 has it.
fn quoted(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() + 2);
    text.push('"');
    for &octet in octets {
        match octet {
            b'"' | b'\\' => text.extend(['\\', char::from(octet)]),
            0x20..=0x7e => text.push(char::from(octet)),
            // Writing to a String cannot fail.
            _ => drop(write!(text, "\\{octet:03}")),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn shown(rr_type: RrType, data: &[u8]) -> String {
        presentation(rr_type, &RecordData::Other(data.to_vec()))
    }

    #[test]
    fn known_types_are_told_in_their_own_form() {
        // The forms are those of RFC 1035, 4034, 3403, 4398, 4255, 5155, 7553, 7929, 8162.
        let name = b"\x02n1\x07example\x00";
        let with = |head: &[u8], tail: &[u8]| [head, tail].concat();
        let soa = [
            &name[..],
            b"\x04root\x07example\x00",
            &[0, 0, 0, 1],
            &[0, 0, 14, 16],
            &[0; 7],
            &[9, 255, 255, 255, 255],
        ];
        for (rr_type, data, expected) in [
            (RrType::NS, name.to_vec(), "n1.example"),
            (RrType::NS, vec![0], "."),
            (RrType::MX, with(&[0, 10], name), "10 n1.example"),
            (RrType::SOA, soa.concat(), "n1.example root.example 1 3600 0 9 4294967295"),
            (RrType::DS, vec![0x9f, 0x8d, 13, 2, 0xab, 0xcd], "40845 13 2 abcd"),
            (RrType::DNSKEY, vec![1, 1, 3, 13, 1, 2, 3], "257 3 13 AQID"),
            (RrType::TXT, b"\x03a\"b\x00\x02\xe4\n".to_vec(), r#""a\"b" "" "\228\010""#),
            (
                RrType::NAPTR,
                with(b"\x00\x01\x00\x02\x01S\x03SIP\x00", name),
                r#"1 2 "S" "SIP" "" n1.example"#,
            ),
            (RrType::CERT, vec![0, 1, 0, 0, 0, 255], "1 0 0 /w=="),
            (RrType::SSHFP, vec![4, 2, 0xff], "4 2 ff"),
            (RrType::SMIMEA, vec![3, 1, 1, 0xff], "3 1 1 ff"),
            (RrType::OPENPGPKEY, vec![255], "/w=="),
            (RrType::URI, b"\x00\x01\x00\x02ftp://x".to_vec(), "1 2 \"ftp://x\""),
            (RrType(51), vec![1, 0, 0, 0, 0], "1 0 0 -"),
            (RrType(51), vec![1, 0, 0, 5, 2, 0xaa, 0xbb], "1 0 5 aabb"),
            (RrType(13), b"\x01a\x01b".to_vec(), r#""a" "b""#),
        ] {
            assert_eq!(shown(rr_type, &data), expected, "{rr_type}");
        }
    }

    #[test]
    fn what_does_not_keep_to_its_form_is_told_as_octets() {
        for (rr_type, data, expected) in [
            // A compression pointer, a name without end, something behind it, a field that is cut, nothing.
            (RrType::NS, &[0xc0, 0][..], "\\# 2 c000"),
            (RrType::NS, &[1, b'a'], "\\# 2 0161"),
            (RrType::NS, &[0, 0], "\\# 2 0000"),
            (RrType::DS, &[0, 1, 8, 2], "\\# 4 00010802"),
            (RrType::MX, &[0], "\\# 1 00"),
            (RrType::TXT, &[2, b'a'], "\\# 2 0261"),
            (RrType::TXT, &[], "\\# 0"),
            (RrType(65_280), &[1, 2], "\\# 2 0102"),
        ] {
            assert_eq!(shown(rr_type, data), expected, "{rr_type}");
        }
    }

    #[test]
    fn text_is_whole_and_bounded_by_its_octets() {
        let data: Vec<u8> = (0..200).flat_map(|_| [&[255_u8][..], &[7; 255]].concat()).collect();
        let text = shown(RrType::TXT, &data);
        assert_eq!(text.len(), 200 * (255 * 4 + 3) - 1);
        assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    }
}
