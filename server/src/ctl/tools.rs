//! What needs no cluster: completion scripts and manual pages, both made from the tree of commands itself.

use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use super::args::{Args, ShellArg};
use super::error::CtlError;
use super::files;
use super::print::Printed;

/// The whole tree of commands, with what is inherited filled in.
pub(super) fn tree() -> Command {
    let mut tree = Args::command();
    tree.build();
    tree
}

pub(super) fn completions(shell: ShellArg) -> Printed {
    let shell = match shell {
        ShellArg::Bash => Shell::Bash,
        ShellArg::Zsh => Shell::Zsh,
        ShellArg::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut Args::command(), "ekmctl", &mut script);
    Printed::text(String::from_utf8_lossy(&script).trim_end().to_owned())
}

/// Writes a page for each command, and says how many.
pub(super) fn write_manual(folder: &Path) -> Result<Printed, CtlError> {
    let pages = pages(&tree(), "ekmctl");
    for (name, page) in &pages {
        files::write(&folder.join(format!("{name}.1")), page)?;
    }
    Ok(Printed::text(format!(
        "{} pages in {}; look at one: man -l {}",
        pages.len(),
        folder.display(),
        folder.join("ekmctl.1").display()
    )))
}

/// Every page by its name.
fn pages(command: &Command, name: &str) -> Vec<(String, Vec<u8>)> {
    let mut page = Vec::new();
    Man::new(command.clone()).title(name.to_owned()).render(&mut page).expect("memory takes every page");
    let mut pages = vec![(name.to_owned(), page)];
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        pages.extend(pages_below(below, name));
    }
    pages
}

fn pages_below(command: &Command, above: &str) -> Vec<(String, Vec<u8>)> {
    pages(command, &format!("{above}-{}", command.get_name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(command: &Command, words: &str, found: &mut Vec<(String, Command)>) {
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            let words = format!("{words} {}", below.get_name()).trim().to_owned();
            if below.has_subcommands() {
                leaves(below, &words, found);
            } else {
                found.push((words, below.clone()));
            }
        }
    }

    #[test]
    fn every_command_teaches() {
        let mut found = Vec::new();
        leaves(&tree(), "", &mut found);
        assert!(found.len() > 30, "{}", found.len());
        for (words, command) in found {
            let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
            assert!(
                long.len() > 100,
                "`{words}` says in a sentence or two what it does and what happens at Google: {long}"
            );
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.starts_with("Examples:\n  "), "`{words}` has an example");
        }
    }

    #[test]
    fn every_command_has_a_page_with_its_examples() {
        let pages = pages(&tree(), "ekmctl");
        let page = |name: &str| {
            let (_, page) = pages.iter().find(|(known, _)| known == name).expect("every command has a page");
            String::from_utf8_lossy(page).into_owned()
        };
        assert!(page("ekmctl").contains("Exit status"), "the first page lists them");
        assert!(page("ekmctl-key-create").contains("payroll"));
        assert!(pages.iter().all(|(_, page)| page.windows(3).any(|three| three == b".SH")));
    }
}
