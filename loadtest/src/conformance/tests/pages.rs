//! The kit's page is true of the kit: the table is the one in the code, and every option is explained.

use clap::{Args as _, Command};

use super::super::report::list;
use super::super::{Args, Output};
use super::every_case;

const PAGE: &str = include_str!("../../../CONFORMANCE.md");

#[test]
fn the_page_has_the_table_of_the_code() {
    let table = list(&every_case(), Output::Markdown);
    assert!(table.len() > 10_000);
    assert!(
        PAGE.contains(&table),
        "put what `loadtest conformance --list --output markdown` prints into loadtest/CONFORMANCE.md"
    );
}

#[test]
fn the_page_explains_every_option() {
    let command = Args::augment_args(Command::new("conformance"));
    let options: Vec<String> =
        command.get_arguments().filter_map(|one| one.get_long()).map(|name| format!("--{name}")).collect();
    assert!(options.len() > 15);
    let silent: Vec<&String> = options.iter().filter(|option| !PAGE.contains(option.as_str())).collect();
    assert!(silent.is_empty(), "not on the page: {silent:?}");
}

#[test]
fn lists_name_every_case() {
    let text = list(&every_case(), Output::Text);
    let json: serde_json::Value = serde_json::from_str(&list(&every_case(), Output::Json)).expect("it is JSON");
    assert_eq!(json.as_array().map(Vec::len), Some(every_case().len()));
    for case in every_case() {
        assert!(text.contains(case.name), "{}", case.name);
        let parts = [case.sends, case.right, case.why, case.remedy];
        assert!(parts.iter().all(|part| part.len() > 4), "{} says too little", case.name);
        assert!(!parts.iter().any(|part| part.contains('\n')), "{} breaks a table", case.name);
    }
}
