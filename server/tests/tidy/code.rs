//! Reads Rust well enough for the rules: code without comments and literals, the crates it names, the modules it imports.
//! It is no parser, and never decides what is allowed.

/// Whether the code uses a path that begins with this crate.
pub fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        let begins = !before.ends_with(|one: char| one.is_alphanumeric() || "_.$".contains(one))
            && (!before.ends_with("::") || before.ends_with(" ::"));
        let imported_whole = before.ends_with("use ") && after.starts_with([';', ' ']);
        begins && (after.starts_with("::") || imported_whole)
    })
}

/// The paths of modules that follow `root`, two names deep, those in braces included.
pub fn paths_after(code: &str, root: &str) -> Vec<String> {
    let starts = code.match_indices(root).filter(|(at, _)| !code[..*at].ends_with("super::"));
    let paths = starts.flat_map(|(at, _)| grouped(&code[at + root.len()..]));
    paths.map(module_path).filter(|path| !path.is_empty()).collect()
}

/// The members of a group in braces, or the one path there is.
fn grouped(path: &str) -> Vec<&str> {
    let Some(group) = path.strip_prefix('{') else { return vec![path] };
    let mut members = vec![group];
    let mut depth = 0_usize;
    for (at, one) in group.char_indices() {
        match one {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => members.push(&group[at + 1..]),
            _ => {}
        }
    }
    members
}

/// `edge::path` of `edge::path::BoundedPath`: up to two names that are modules by their spelling.
fn module_path(path: &str) -> String {
    let names = path.trim_start().split("::").map(identifier).take(2);
    let modules = names.take_while(|name| !name.is_empty() && !name.contains(char::is_uppercase));
    modules.filter(|name| *name != "self").collect::<Vec<_>>().join("::")
}

/// The name that the text begins with.
pub fn identifier(text: &str) -> &str {
    let end = text.find(|one: char| !one.is_alphanumeric() && one != '_').unwrap_or(text.len());
    &text[..end]
}

/// The text without comments and without what stands in string and character literals.
pub fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (kept, length) = match first {
            '/' if rest.starts_with("//") => ("", rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (" ", rest.find("*/").map_or(rest.len(), |end| end + 2)),
            'r' if is_raw_string(rest) && !code.ends_with(|one: char| one.is_alphanumeric() || one == '_') => {
                let hashes = rest[1..].find('"').expect("a raw string has an opening quote");
                let closing = format!("\"{}", "#".repeat(hashes));
                let body = &rest[2 + hashes..];
                ("\"\"", 2 + hashes + body.find(&closing).map_or(body.len(), |end| end + closing.len()))
            }
            '"' => ("\"\"", 1 + quoted_length(&rest[1..])),
            '\'' => (" ", character_length(rest)),
            _ => (&rest[..first.len_utf8()], first.len_utf8()),
        };
        code.push_str(kept);
        rest = &rest[length..];
    }
    code
}

fn is_raw_string(text: &str) -> bool {
    text[1..].trim_start_matches('#').starts_with('"')
}

/// Up to and with the closing quote.
fn quoted_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, one) in text.char_indices() {
        match one {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character literal whole, of a lifetime the apostrophe alone.
fn character_length(text: &str) -> usize {
    let mut inside = text[1..].chars();
    match (inside.next(), inside.next()) {
        (Some('\\'), Some(_)) => text[3..].find('\'').map_or(text.len(), |end| end + 4),
        (Some(one), Some('\'')) => one.len_utf8() + 2,
        _ => 1,
    }
}
