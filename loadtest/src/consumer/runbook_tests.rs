//! Holds `runbooks/consumer-errors.md` to what the product says: every message of its own table stands there.

/// Parts of the table's messages that differ from case to case; the page writes `…` for them. Longest first.
const VARIABLE: [&str; 15] = [
    "the keys of the token's issuer are not loaded yet: try again",
    "the token has expired: obtain a new token",
    "the body is empty; send a JSON object",
    "abababababababababababababababab",
    "04040404040404040404040404040404",
    "the field plaintext is not base64",
    "THIRD_PARTY_DATA_REQUEST",
    "it has a dot segment",
    "asymmetricSign",
    "a@x.example",
    "262144",
    "5000",
    "100",
    "200",
    "r1",
];
/// Where the sample itself is too short to be replaced everywhere.
const VARIABLE_QUOTED: [(&str, &str); 2] = [("'v0/keys/k'", "'…'"), ("'12'", "'…'")];

fn file(path: &str) -> String {
    let path = format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The messages of the table: the indented lines.
fn messages(table: &str) -> Vec<String> {
    let general = |message: &str| {
        let message = VARIABLE.iter().fold(message.to_owned(), |text, sample| text.replace(sample, "…"));
        VARIABLE_QUOTED.iter().fold(message, |text, (sample, general)| text.replace(sample, general))
    };
    table.lines().filter_map(|line| line.strip_prefix("  ")).map(general).collect()
}

fn missing<'a>(page: &str, messages: &'a [String]) -> Vec<&'a String> {
    messages.iter().filter(|message| !page.contains(&format!("`{message}`"))).collect()
}

#[test]
fn every_message_of_the_product_stands_in_the_runbook() {
    let messages = messages(&file("server/src/error/table.txt"));
    assert!(messages.len() > 30, "the table was read: {}", messages.len());
    let page = file("runbooks/consumer-errors.md");
    assert_eq!(missing(&page, &messages), Vec::<&String>::new());
    let planted = [String::from("A message that nobody has explained.")];
    assert_eq!(missing(&page, &planted).len(), 1);
}

#[test]
fn what_the_stand_in_says_for_google_stands_in_the_runbook_too() {
    let page = file("runbooks/consumer-errors.md");
    for words in [
        "is not enabled, current state is: DISABLED.",
        "cannot be reached",
        "did not answer within",
        "of service 'cloudkms.googleapis.com'",
    ] {
        assert!(page.contains(words), "{words}");
    }
}
