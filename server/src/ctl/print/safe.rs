//! What callers and other operators wrote, made safe for a terminal. Such text must never move the cursor, name the window, begin a
//! line or turn the direction of what stands beside it.

/// The text with what no reader would see as it is written out as `\u{…}`: control characters, line feeds included, and marks that
/// change the direction of text.
pub(in crate::ctl) fn safe(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for one in text.chars() {
        if one.is_control() || changes_direction(one) {
            shown.extend(one.escape_unicode());
        } else {
            shown.push(one);
        }
    }
    shown
}

/// Marks, embeddings, overrides and isolates (Unicode Standard Annex 9), and the separators of lines and paragraphs.
const fn changes_direction(one: char) -> bool {
    matches!(one, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_and_not_obeyed() {
        for (text, shown) in [
            ("projects/p/keyRings/ring-ü", "projects/p/keyRings/ring-ü"),
            ("\x1b]0;title\x07\x1b[31m", r"\u{1b}]0;title\u{7}\u{1b}[31m"),
            ("one\n  told     allowed", r"one\u{a}  told     allowed"),
            ("\u{9b}31m \u{202e}live", r"\u{9b}31m \u{202e}live"),
        ] {
            assert_eq!(safe(text), shown);
        }
    }
}
