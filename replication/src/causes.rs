//! An error told in one line with what lies behind it, for logs and for people who cannot walk through sources.

use std::error::Error;
use std::iter::successors;

/// The error and what lies behind it, in one line. What a text repeats of its cause is told once.
pub fn in_one_line(error: &dyn Error) -> String {
    let behind = successors(error.source(), |&error| error.source()).map(ToString::to_string);
    behind.fold(error.to_string(), |text, next| if text.ends_with(&next) { text } else { format!("{text}: {next}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Told {
        text: &'static str,
        source: Option<Box<Told>>,
    }

    fn told(texts: &[&'static str]) -> Option<Box<Told>> {
        let (text, behind) = texts.split_first()?;
        Some(Box::new(Told { text, source: told(behind) }))
    }

    #[test]
    fn each_cause_is_told_once() {
        let line = |texts: &[&'static str]| in_one_line(told(texts).expect("there is an error").as_ref());
        assert_eq!(line(&["no answer"]), "no answer");
        assert_eq!(
            line(&["no answer", "no way there", "refused (os error 111)"]),
            "no answer: no way there: refused (os error 111)"
        );
        assert_eq!(line(&["no answer: refused", "refused", "by whom"]), "no answer: refused: by whom");
    }
}
