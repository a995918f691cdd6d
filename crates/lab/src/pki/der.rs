//! The little DER that rcgen does not write: general names of every type, version 1 certificates, PEM.
//!
//! The reading half takes apart certificates that the lab itself has made.

use std::net::IpAddr;

use rcgen::{KeyPair, SigningKey};

use super::leaf::San;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0C;
/// `[0]`, constructed.
const CONTEXT_0: u8 = 0xA0;
/// 1.3.6.1.4.1.311.20.2.3, the user principal name: the otherName most often seen.
const USER_PRINCIPAL_NAME: [u8; 10] = [0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x14, 0x02, 0x03];
/// 2.5.4.3
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// The value of a subjectAltName extension, RFC 5280 section 4.2.1.6.
pub(super) fn subject_alt_names(names: &[San]) -> Vec<u8> {
    let names: Vec<u8> = names.iter().flat_map(general_name).collect();
    tlv(SEQUENCE, &names)
}

/// A certificate without version and extensions, signed anew by its issuer.
pub(super) fn version_1(certificate: &[u8], issuer: &KeyPair) -> Option<Vec<u8>> {
    let parts = elements(content(certificate)?);
    let [tbs, algorithm, _] = parts.as_slice() else { return None };
    let kept =
        elements(content(tbs)?).into_iter().filter(|part| part.first().is_some_and(|tag| tag >> 6 != 2));
    let tbs = tlv(SEQUENCE, &kept.flatten().copied().collect::<Vec<u8>>());
    let mut bits = vec![0];
    bits.extend(issuer.sign(&tbs).ok()?);
    Some(tlv(SEQUENCE, &[tbs, algorithm.to_vec(), tlv(BIT_STRING, &bits)].concat()))
}

/// The SubjectPublicKeyInfo of a certificate.
pub(super) fn public_key_info(certificate: &[u8]) -> Option<&[u8]> {
    let tbs = elements(content(certificate)?).first().copied()?;
    let parts = elements(content(tbs)?);
    let version = usize::from(parts.first()?.first() == Some(&CONTEXT_0));
    parts.get(version + 5).copied()
}

/// RFC 7468.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in data_encoding::BASE64.encode(der).as_bytes().chunks(64) {
        out.extend(line.iter().map(|octet| char::from(*octet)));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

fn general_name(name: &San) -> Vec<u8> {
    match name {
        San::Other(text) => {
            let value = tlv(CONTEXT_0, &tlv(UTF8_STRING, text.as_bytes()));
            tlv(CONTEXT_0, &[tlv(OBJECT_IDENTIFIER, &USER_PRINCIPAL_NAME), value].concat())
        }
        San::Email(text) => tlv(0x81, text.as_bytes()),
        San::Dns(text) => tlv(0x82, text.as_bytes()),
        San::Directory(text) => {
            let value = [tlv(OBJECT_IDENTIFIER, &COMMON_NAME), tlv(UTF8_STRING, text.as_bytes())].concat();
            tlv(0xA4, &tlv(SEQUENCE, &tlv(SET, &tlv(SEQUENCE, &value))))
        }
        San::Uri(text) => tlv(0x86, text.as_bytes()),
        San::Ip(IpAddr::V4(v4)) => tlv(0x87, &v4.octets()),
        San::Ip(IpAddr::V6(v6)) => tlv(0x87, &v6.octets()),
        San::RegisteredId => tlv(0x88, &COMMON_NAME),
        San::Raw(der) => der.clone(),
    }
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|octet| *octet == 0).collect();
    match significant.as_slice() {
        [] => out.push(0),
        [short @ 0..=0x7F] => out.push(*short),
        long => {
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            out.extend(long);
        }
    }
    out.extend(content);
    out
}

/// Header and content lengths of the first element.
fn measure(der: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*der.get(1)?);
    if first < 0x80 {
        return Some((2, first));
    }
    let count = first & 0x7F;
    let octets = der.get(2..2 + count)?;
    Some((2 + count, octets.iter().fold(0, |length, octet| (length << 8) | usize::from(*octet))))
}

fn content(der: &[u8]) -> Option<&[u8]> {
    let (header, length) = measure(der)?;
    der.get(header..header + length)
}

fn elements(mut der: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((element, rest)) =
        measure(der).and_then(|(header, length)| der.split_at_checked(header + length))
    {
        found.push(element);
        der = rest;
    }
    found
}
