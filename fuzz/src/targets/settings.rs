//! Settings of `ekm dev`, as text: reading is total, what was read is written down as text that reads the same, the stamp of
//! development is refused by everything else, and each mistake is told with its place, in one
//! short line.

use server::dev::settings::DevSettings;
use server::settings::mistake::{Mistake, PROBLEMS_MAX};
use server::settings::reader::ReadBy;

/// The longest line that tells a mistake: a few keys and a value, each shortened, every character of them escaped.
const LINE_BYTES_MAX: usize = 4096;

/// See the top of this file.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match DevSettings::parse(text, ReadBy::Dev) {
        Ok(settings) => {
            let written = settings.to_toml();
            assert_eq!(DevSettings::parse(&written, ReadBy::Dev), Ok(settings), "{written}");
            let refused = DevSettings::parse(text, ReadBy::Others).expect_err("the stamp of development is refused");
            let told: Vec<_> = refused.told().iter().map(|one| (one.place.as_str(), &one.mistake)).collect();
            assert_eq!(told, [("dev", &Mistake::StampedDev)], "the stamp is the one mistake");
        }
        Err(problems) => {
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
    }
}

fn stands_in_the_text(place: &str, lines: usize) {
    let line = place.strip_prefix("line ").and_then(|rest| rest.split_once(", column "));
    let (line, column) = line.expect("what is no TOML is told by line and column");
    let number = |text: &str| text.parse::<usize>().expect("a line and a column are numbers");
    assert!((1..=lines).contains(&number(line)) && number(column) >= 1, "{place} of {lines} lines");
}
