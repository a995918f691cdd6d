//! Lists of DER in JSON: base64 texts, as [`crate::encoding`] has them for one.

use data_encoding::BASE64;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Deserializer};

/// Reads a list of base64 texts.
pub(crate) fn base64_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
    let texts = Vec::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    texts.iter().map(|text| BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)).collect()
}

/// Reads a list of base64 texts as certificates; what they hold is not looked at.
pub(crate) fn certificates_from_base64<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<CertificateDer<'static>>, D::Error> {
    Ok(base64_list(deserializer)?.into_iter().map(CertificateDer::from).collect())
}
