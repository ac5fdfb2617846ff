//! Hexadecimal digits to and from bytes, in buffers of the caller's: no copy of a key is left in one of our own.

use super::arena::SLOT_LENGTH;

/// Length of a key in digits.
pub(super) const KEY_DIGITS: usize = 2 * SLOT_LENGTH;

/// Appends `bytes` as lower-case digits.
pub(super) fn push(text: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 0x0f)]);
    }
}

/// Fills `bytes` from exactly twice as many lower-case digits; `None` for anything else.
pub(super) fn fill(bytes: &mut [u8], digits: &[u8]) -> Option<()> {
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (value(pair[0])? << 4) | value(pair[1])?;
    }
    Some(())
}

/// Fills `bytes` from as many digits as they need, of either case; the place of the first that is none.
pub(super) fn fill_either_case(bytes: &mut [u8], digits: &[u8]) -> Result<(), usize> {
    let digit = |at: usize| {
        let digit = digits.get(at).ok_or(at)?;
        value(digit.to_ascii_lowercase()).ok_or(at)
    };
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = (digit(2 * at)? << 4) | digit(2 * at + 1)?;
    }
    Ok(())
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_back_as_the_bytes_they_were() {
        let bytes: [u8; SLOT_LENGTH] = std::array::from_fn(|at| u8::try_from(at * 8 + 1).expect("below 256"));
        let mut text = Vec::new();
        push(&mut text, &bytes);
        assert_eq!(text.len(), KEY_DIGITS);
        let mut back = [0; SLOT_LENGTH];
        assert_eq!(fill(&mut back, &text), Some(()));
        assert_eq!(back, bytes);
    }

    #[test]
    fn digits_of_either_case_are_read_and_the_first_that_is_none_is_named() {
        let mut bytes = [0; 2];
        for text in ["a0Ff", "A0fF"] {
            assert_eq!(fill_either_case(&mut bytes, text.as_bytes()), Ok(()));
            assert_eq!(bytes, [0xa0, 0xff]);
        }
        for (bad, at) in [("", 0), ("0", 1), ("00", 2), ("0g00", 1), ("000 ", 3), ("000:", 3), ("00/0", 2), ("00G0", 2)]
        {
            assert_eq!(fill_either_case(&mut bytes, bad.as_bytes()), Err(at), "{bad:?}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for bad in ["", "0", "00", "00000", "0g00", "00AB", " 000"] {
            assert_eq!(fill(&mut [0; 2], bad.as_bytes()), None, "{bad:?}");
        }
    }
}
