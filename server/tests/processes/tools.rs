//! What `ekmctl` makes without a cluster: completion scripts that the shells take, and manual pages that can be read.

use std::process::Command;

use super::examples::{all_words, tree};
use super::harness::{Ended, finish, temporary};

async fn ekmctl(args: &[&str]) -> Ended {
    finish(Command::new(env!("CARGO_BIN_EXE_ekmctl")).args(args)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bash_completes_commands_and_flags() {
    let folder = temporary();
    let script = folder.path().join("ekmctl.bash");
    std::fs::write(&script, ekmctl(&["completions", "bash"]).await.out).expect("a file can be written");
    // as bash-completion calls it: the word to complete is the last of COMP_WORDS
    let ask = "COMP_WORDS=(ekmctl key cre); COMP_CWORD=2; _ekmctl ekmctl cre key; echo \"${COMPREPLY[*]}\"
               COMP_WORDS=(ekmctl key show --ten); COMP_CWORD=3; _ekmctl ekmctl --ten show; echo \"${COMPREPLY[*]}\"";
    let ended =
        finish(Command::new("bash").args(["--norc", "-c"]).arg(format!("source {}\n{ask}", script.display()))).await;
    assert_eq!((ended.code, ended.out.trim_end()), (Some(0), "create\n--tenant"), "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn zsh_and_fish_get_scripts_that_name_every_noun() {
    for shell in ["zsh", "fish"] {
        let ended = ekmctl(&["completions", shell]).await;
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
        for noun in tree().get_subcommands() {
            assert!(ended.out.contains(noun.get_name()), "{shell} knows {}", noun.get_name());
        }
    }
    assert_eq!(ekmctl(&["completions", "tcsh"]).await.code, Some(64));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_has_a_manual_page_with_its_examples() {
    let folder = temporary();
    let ended = ekmctl(&["man", folder.path().to_str().expect("a temporary folder has a plain name")]).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    for words in all_words(&tree()) {
        let name = format!("ekmctl {words}").trim().replace(' ', "-");
        let page = std::fs::read_to_string(folder.path().join(format!("{name}.1"))).expect("every command has a page");
        assert!(page.starts_with(".ie") || page.starts_with(".TH"), "{name} is roff: {page:.80}");
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}");
    }
    let first = std::fs::read_to_string(folder.path().join("ekmctl.1")).expect("the first page");
    assert!(first.contains("Exit status") && first.contains("75"), "the exit statuses are listed");
    let nowhere = ekmctl(&["man", "/nonexistent"]).await;
    assert_eq!(nowhere.code, Some(74), "{}", nowhere.err);
}
