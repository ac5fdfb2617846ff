//! Every example in the help of `ekmctl`, run as it stands: collected from the tree of commands itself, so that none can be forgotten,
//! and run in the order of the tree, in one empty folder beside a fresh `ekm dev`.
//!
//! The convention, which `ekmctl --help` tells: `EKM_DEV` names the cluster; `KEY_PATH`, `ALIAS_PATH`, `IMPORT_KEY`, `REQUEST_ID` and
//! `DENY_ENTRY` are variables of the shell that hold what an earlier command printed. Here `KEY_PATH` is that of the first version that the examples
//! make, and the request is a wrap with the demo key.

use std::path::Path;
use std::process::Command;

use clap::CommandFactory as _;
use serde_json::Value;

use super::google::{Google, Protocol};
use super::harness::{Dev, Ended, Process, temporary};
use super::schemas::Schemas;

/// The whole tree of commands.
pub(crate) fn tree() -> clap::Command {
    server::ctl::Args::command()
}

/// The words of every command and noun, in the order of the tree; first the program's own, which are none.
pub(crate) fn all_words(command: &clap::Command) -> Vec<String> {
    let mut all = vec![String::new()];
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        let name = below.get_name();
        all.extend(all_words(below).into_iter().map(|words| format!("{name} {words}").trim().to_owned()));
    }
    all
}

fn find<'a>(tree: &'a clap::Command, words: &str) -> &'a clap::Command {
    words.split_whitespace().fold(tree, |at, word| at.find_subcommand(word).expect("the words are the tree's own"))
}

/// An example, and the command whose help shows it.
struct Example {
    words: String,
    script: String,
}

/// The lines under `Examples:`, up to the next empty one; a line that ends with a backslash goes on.
fn examples(tree: &clap::Command) -> Vec<Example> {
    let mut all = Vec::new();
    for words in all_words(tree) {
        let command = find(tree, &words);
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let shown = help.split("Examples:\n").nth(1).unwrap_or_default();
        let shown: Vec<&str> = shown.lines().take_while(|line| line.starts_with("  ")).map(str::trim_end).collect();
        assert!(!shown.is_empty() || command.has_subcommands(), "`{words}` has no example in its help");
        let text = shown.join("\n").replace("\\\n", " ");
        all.extend(text.lines().map(|line| Example { words: words.clone(), script: line.trim().to_owned() }));
    }
    all
}

/// The words of the command that an example calls, options and their values left out.
fn spoken(tree: &clap::Command, script: &str) -> String {
    let mut at = tree;
    let mut words = Vec::new();
    for word in script.rsplit("ekmctl ").next().unwrap_or_default().split_whitespace() {
        if let Some(below) = at.find_subcommand(word) {
            words.push(word);
            at = below;
        }
    }
    words.join(" ")
}

/// What the shell knows of what was printed before.
#[derive(Default)]
struct Variables(Vec<(&'static str, String)>);

impl Variables {
    fn set(&mut self, name: &'static str, value: &str) {
        if self.0.iter().all(|(known, _)| *known != name) {
            self.0.push((name, value.to_owned()));
        }
    }

    /// What an example prints for those after it.
    fn learn(&mut self, words: &str, out: &str) {
        let body: Value = serde_json::from_str(out).unwrap_or_default();
        let word = |name: &str| out.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let said = |name: &str, field: &str| body[field].as_str().or_else(|| word(name)).map(str::to_owned);
        let learnt = match words {
            "key create" => ("KEY_PATH", said("path", "path")),
            "alias create" => ("ALIAS_PATH", said("path", "path")),
            "import-key create" => ("IMPORT_KEY", said("import-key", "import_key")),
            // not every consent is to a deny entry
            "operator approve" => match said("deny-entry", "deny_entry") {
                Some(entry) => ("DENY_ENTRY", Some(entry)),
                None => return,
            },
            _ => return,
        };
        self.set(learnt.0, &learnt.1.unwrap_or_else(|| panic!("`{words}` prints {}: {out}", learnt.0)));
    }
}

/// What a process of `ekm dev` cannot be asked for; `cluster.rs` asks several processes for it.
const OF_A_CLUSTER: [&str; 2] = ["cluster init", "cluster join"];

/// How the examples are run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As they stand.
    Text,
    /// With `--output json` for every `ekmctl` in them.
    Json,
}

async fn run(example: &Example, folder: &Path, variables: &Variables, form: Form) -> Ended {
    let prelude = match form {
        Form::Text => "",
        Form::Json => "ekmctl() { command ekmctl --output json \"$@\"; }\n",
    };
    let programs = Path::new(env!("CARGO_BIN_EXE_ekmctl")).parent().expect("a program lies in a folder");
    let script =
        format!("set -e\nPATH={}:$PATH\nexport EKM_DEV=./ekm-dev\n{prelude}{}", programs.display(), example.script);
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).current_dir(folder).envs(variables.0.iter().map(|(name, value)| (*name, value)));
    Process::start(&mut command).ended().await
}

/// Runs all of them, and gives what each printed.
async fn run_all(form: Form) -> Vec<(Example, String)> {
    let folder = temporary();
    let dev = Dev::start(&folder.path().join("ekm-dev")).await;
    let mut variables = Variables::default();
    let wrapped =
        Google::new(&dev, Protocol::Http2).settled_wrap(&dev.file.key_path, "c2VjcmV0").await.expect("an answer");
    variables.set("REQUEST_ID", &wrapped.request);
    let mut printed = Vec::new();
    for example in examples(&tree()).into_iter().filter(|example| !OF_A_CLUSTER.contains(&example.words.as_str())) {
        let ended = run(&example, folder.path(), &variables, form).await;
        let Example { words, script } = &example;
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "help of `{words}`: {script}\n{}", ended.out);
        variables.learn(&spoken(&tree(), script), &ended.out);
        printed.push((example, ended.out));
    }
    dev.stop().await;
    printed
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_in_the_help_works_as_it_stands() {
    let printed = run_all(Form::Text).await;
    assert!(printed.len() > 50, "{}", printed.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_examples_print_as_json_is_as_the_schemas_say() {
    let schemas = Schemas::load().await;
    let mut judged = std::collections::BTreeSet::new();
    for (example, out) in run_all(Form::Json).await {
        let is_plain = example.script.starts_with("ekmctl ") || example.script.contains("| ekmctl ");
        let is_redirected = example.script.contains(" > ") || example.script.contains("| jq");
        let words = spoken(&tree(), &example.script);
        if is_plain && !is_redirected && schemas.know(&words) {
            let value: Value =
                serde_json::from_str(&out).unwrap_or_else(|error| panic!("{}: {error}: {out}", example.script));
            schemas.judge(&words, &value).unwrap_or_else(|why| panic!("{}: {why}: {out}", example.script));
            judged.insert(words);
        }
    }
    let missed: Vec<&str> = schemas.words().filter(|words| !judged.contains(*words)).collect();
    // their only examples write files, or need several processes
    assert_eq!(
        missed,
        ["cluster init", "cluster join", "import-key show"],
        "every schema is held against a real output"
    );
}
