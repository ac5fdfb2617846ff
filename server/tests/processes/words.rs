//! The printed calls without a shell and without curl: their words taken apart as both would, and the same call made.

use std::path::Path;

use reqwest::Client;

use super::harness::soon;

/// The words of a command line, with quotes and `$(cat FILE)` as a shell reads them.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut in_word) = (Vec::new(), String::new(), false);
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            ' ' => {
                if std::mem::take(&mut in_word) {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            '\\' => {
                let next = rest.chars().next().expect("a backslash stands before something");
                rest = &rest[next.len_utf8()..];
                word.push(next);
            }
            '\'' => {
                let (quoted, after) = rest.split_once('\'').expect("a quote is closed");
                word.push_str(quoted);
                rest = after;
            }
            '"' => {
                let (before, after) = rest.split_once("$(cat ").expect("double quotes hold the token");
                let (file, after) = after.split_once(")\"").expect("what is run is closed");
                let file = split(file).concat();
                let token = std::fs::read_to_string(Path::new(&file)).expect("the token file is there");
                word.push_str(before);
                word.push_str(token.trim_end());
                rest = after;
            }
            plain => word.push(plain),
        }
        in_word = true;
    }
    if in_word {
        words.push(word);
    }
    words
}

/// Makes a printed call with a client that knows the server, and gives the body of the answer.
pub(crate) async fn send(http: &Client, call: &str) -> String {
    let words = split(call);
    let after = |flag: &str| {
        let place = words.iter().position(|word| word == flag).unwrap_or_else(|| panic!("{call} has {flag}"));
        words[place + 1].as_str()
    };
    let authority = std::fs::read(after("--cacert")).expect("the printed authority is there");
    reqwest::Certificate::from_pem(&authority).expect("it is PEM");
    let (name, value) = after("-H").split_once(": ").expect("a header has a name and a value");
    let url = words.last().expect("a call has words");
    let request = http.post(url).header(name, value).body(after("-d").to_owned());
    let response = soon("an answer", request.send()).await.expect("an answer");
    response.text().await.expect("a body")
}

#[test]
fn words_are_taken_apart_as_a_shell_does() {
    let folder = super::harness::temporary();
    let token = folder.path().join("a b's");
    std::fs::write(&token, "secret\n").expect("a file can be written");
    let quoted = token.display().to_string().replace('\'', r"'\''");
    let line = format!("curl  -d '{{\"a\": 1}}' 'it'\\''s' -H \"Bearer $(cat '{quoted}')\" end");
    assert_eq!(split(&line), ["curl", "-d", "{\"a\": 1}", "it's", "-H", "Bearer secret", "end"]);
}
