//! `bytes` in protobuf JSON. Accepts the standard and the URL-safe alphabet, padded or not; emits standard and padded.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD_LENIENT: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE_LENIENT: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The text is base64 in neither alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is not base64")]
pub struct Base64Fault;

/// Decodes one value. A text that mixes both alphabets is refused.
///
/// # Errors
/// [`Base64Fault`] if the text has a foreign character, wrong padding or a length that no bytes encode to.
pub fn decode_base64(text: &str) -> Result<Vec<u8>, Base64Fault> {
    let url_safe = text.bytes().any(|byte| byte == b'-' || byte == b'_');
    let engine = if url_safe { &URL_SAFE_LENIENT } else { &STANDARD_LENIENT };
    engine.decode(text).map_err(|_| Base64Fault)
}

/// `{"<field>":"<base64>"}`, in one allocation.
pub(super) fn one_bytes_field(field: &str, value: &[u8]) -> Vec<u8> {
    let encoded = base64::encoded_len(value.len(), true).expect("a value bounded by the body limit fits in memory");
    let mut json = Vec::with_capacity(field.len() + encoded + 7);
    json.extend_from_slice(b"{\"");
    json.extend_from_slice(field.as_bytes());
    json.extend_from_slice(b"\":\"");
    let start = json.len();
    json.resize(start + encoded, 0);
    STANDARD.encode_slice(value, &mut json[start..]).expect("the slice is exactly as long as the encoding");
    json.extend_from_slice(b"\"}");
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_and_missing_padding_are_accepted() {
        let rows: &[(&str, &[u8])] = &[
            ("", b""),
            ("AA==", &[0]),
            ("AA", &[0]),
            ("AA=", &[0]),
            ("AAA=", &[0, 0]),
            ("AAA", &[0, 0]),
            ("+/+/", &[0xfb, 0xff, 0xbf]),
            ("-_-_", &[0xfb, 0xff, 0xbf]),
            ("-_8", &[0xfb, 0xff]),
            ("-_8=", &[0xfb, 0xff]),
        ];
        for (text, bytes) in rows {
            assert_eq!(decode_base64(text).as_deref(), Ok(*bytes), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for text in ["A", "A===", "=", "AA==AA==", "A A=", "AA\n", "+_==", "é", "AAAAA", "AA===", "!"] {
            assert_eq!(decode_base64(text), Err(Base64Fault), "{text:?}");
        }
    }

    #[test]
    fn answers_are_standard_and_padded() {
        assert_eq!(one_bytes_field("f", &[0xfb, 0xff]), br#"{"f":"+/8="}"#);
        assert_eq!(one_bytes_field("f", b""), br#"{"f":""}"#);
    }
}
