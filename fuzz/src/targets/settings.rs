//! Settings files of every kind, as text: reading is total, what was read is written down as text that reads the same, the stamp of
//! development is required by `ekm dev` and refused by everything else, and each mistake is told with its place, in one
//! short line.

use std::fmt::Debug;

use server::dev::settings::DevSettings;
use server::settings::frontend::FrontendSettings;
use server::settings::key_store::KeyStoreSettings;
use server::settings::kind::Kind;
use server::settings::mistake::{Mistake, PROBLEMS_MAX, Problems};
use server::settings::reader::ReadBy;

/// The longest line that tells a mistake: a few keys and a value, each shortened, every character of them escaped.
const LINE_BYTES_MAX: usize = 4096;

/// See the top of this file.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let by_dev = |text: &str| DevSettings::parse(text, ReadBy::Dev);
    if is_read(text, by_dev, DevSettings::to_toml) {
        let refused = DevSettings::parse(text, ReadBy::Others).expect_err("the stamp of development is refused");
        let told: Vec<_> = refused.told().iter().map(|one| (one.place.as_str(), &one.mistake)).collect();
        assert_eq!(told, [("dev", &Mistake::StampedDev)], "the stamp is the one mistake");
    }
    let is_key_store = is_read(text, KeyStoreSettings::parse, KeyStoreSettings::to_toml);
    let is_frontend = is_read(text, FrontendSettings::parse, FrontendSettings::to_toml);
    assert!(!(is_key_store && is_frontend), "a text is of one kind");
    let kind = Kind::of(text);
    assert!(!is_key_store || kind == Some(Kind::KeyStore), "a key store's is known for one");
    assert!(!is_frontend || kind == Some(Kind::Frontend), "a frontend's is known for one");
}

/// Whether the text is in order; what is read is written and reads the same, and what is not is told.
fn is_read<T: Debug + PartialEq>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, Problems>,
    write: impl Fn(&T) -> String,
) -> bool {
    match parse(text) {
        Ok(settings) => {
            let written = write(&settings);
            assert_eq!(parse(&written), Ok(settings), "{written}");
            true
        }
        Err(problems) => {
            are_told(text, &problems);
            false
        }
    }
}

fn are_told(text: &str, problems: &Problems) {
    assert!(!problems.is_empty() && problems.told().len() <= PROBLEMS_MAX);
    let lines = text.split('\n').count();
    for problem in problems.told() {
        let line = problem.to_string();
        assert!(!line.chars().any(char::is_control), "a mistake writes control characters: {line:?}");
        assert!(line.len() <= LINE_BYTES_MAX, "a mistake is told in {} bytes", line.len());
        match problem.mistake {
            Mistake::Syntax { .. } => stands_in_the_text(&problem.place, lines),
            _ => assert!(!problem.place.is_empty(), "a mistake without a path: {problem}"),
        }
    }
}

fn stands_in_the_text(place: &str, lines: usize) {
    let line = place.strip_prefix("line ").and_then(|rest| rest.split_once(", column "));
    let (line, column) = line.expect("what is no TOML is told by line and column");
    let number = |text: &str| text.parse::<usize>().expect("a line and a column are numbers");
    assert!((1..=lines).contains(&number(line)) && number(column) >= 1, "{place} of {lines} lines");
}
