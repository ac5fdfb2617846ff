//! Tables that must agree with each other: errors and the requests that yield them, exit statuses and the processes that end
//! with them, metrics and the pages that name them. Pure functions of texts; finds what is missing on either side.

use super::code::{code_of, identifier};

/// The enums whose variants are rows of `error/table.txt`: the error itself, and what tells some of its variants apart.
const NESTED: &[(&str, &str)] =
    &[("Unusable", "Unusable"), ("Doubtful", "Doubt"), ("KeyTrouble", "KeyTrouble"), ("NotOffered", "NotOffered")];

/// The variants of an enum, in their order.
pub fn variants_of(text: &str, name: &str) -> Vec<String> {
    let code = code_of(text);
    let opening = format!("enum {name} {{");
    let Some(start) = code.find(&opening).map(|at| at + opening.len()) else { return vec![] };
    let mut depth = 0_usize;
    let mut piece = String::new();
    let mut pieces = Vec::new();
    for one in code[start..].chars() {
        match one {
            '}' if depth == 0 => break,
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            ',' if depth == 0 => pieces.push(std::mem::take(&mut piece)),
            '#' => {}
            _ if depth == 0 => piece.push(one),
            _ => {}
        }
    }
    pieces.push(piece);
    pieces.iter().map(|piece| identifier(piece.trim()).to_owned()).filter(|name| !name.is_empty()).collect()
}

/// Codes that are not in the list of all of them.
pub fn codes_not_listed(code_rs: &str) -> Vec<String> {
    let code = code_of(code_rs);
    let list = code.split_once("const ALL: ").map_or("", |(_, rest)| rest.split(';').nth(1).unwrap_or_default());
    let listed: Vec<&str> = list.split("Self::").skip(1).map(identifier).collect();
    variants_of(code_rs, "Code").into_iter().filter(|variant| !listed.contains(&variant.as_str())).collect()
}

/// The names of the rows of the table of errors.
fn rows(table: &str) -> Vec<&str> {
    let heads = table.lines().filter(|line| !line.starts_with(' '));
    heads.filter_map(|line| Some(line.split_once(": ")?.0)).collect()
}

/// Errors without a row, and rows without an error.
pub fn errors_and_rows_apart(error_rs: &str, table: &str) -> Vec<String> {
    let rows = rows(table);
    let mut names = Vec::new();
    for variant in variants_of(error_rs, "ServiceError") {
        match NESTED.iter().find(|(outer, _)| *outer == variant) {
            Some((outer, inner)) => {
                names.extend(variants_of(error_rs, inner).iter().map(|inner| format!("{outer} {inner}")));
            }
            None => names.push(variant),
        }
    }
    let stands_for =
        |row: &str, name: &str| row == name || row.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '));
    let missing = names.iter().filter(|name| !rows.iter().any(|row| stands_for(row, name)));
    let missing = missing.map(|name| format!("no row of the table of errors is {name}"));
    let foreign = rows.iter().filter(|row| !names.iter().any(|name| stands_for(row, name)));
    missing.chain(foreign.map(|row| format!("the row {row} is no error"))).collect()
}

/// Exit statuses that no test names, of all that a file defines.
pub fn exits_without_test(exit_rs: &str, tests: &[&str]) -> Vec<String> {
    let code = code_of(exit_rs);
    let constants = code.lines().filter_map(|line| line.trim().strip_prefix("pub const ")?.split_once(": u8"));
    let is_named = |name: &str| {
        tests.iter().any(|text| {
            let code = code_of(text);
            code.split("exit::").skip(1).any(|rest| identifier(rest) == name)
        })
    };
    constants.map(|(name, _)| name.to_owned()).filter(|name| !is_named(name)).collect()
}

/// Names of metrics on a page that no metric has. A name on a page may end in one of a histogram's.
pub fn unknown_metrics(page: &str, metrics: &str) -> Vec<String> {
    let names = page.match_indices("ekm_").filter(|(at, _)| !page[..*at].ends_with(|one: char| one.is_alphanumeric()));
    let names = names.map(|(at, _)| identifier(&page[at..]));
    let is_known = |name: &str| {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        [Some(name), of_histogram].into_iter().flatten().any(|name| metrics.contains(&format!("\"{name}\"")))
    };
    names.filter(|name| !is_known(name)).map(str::to_owned).collect()
}

/// What a manifest says of a crate's version that is none: any, or somebody's branch.
pub fn loose_versions(manifest: &str) -> Vec<String> {
    let is_loose = |line: &str| {
        let (name, rest) = line.split_once('=').unwrap_or_default();
        let is_key = !name.trim_start().starts_with(['#', '[']);
        let any = rest.trim() == "\"*\"" || rest.contains("version = \"*\"") || rest.contains("version = \">");
        is_key && (any || rest.contains("git = ") || rest.contains("branch = "))
    };
    manifest.lines().filter(|line| is_loose(line)).map(str::to_owned).collect()
}
