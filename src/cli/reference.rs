//! The reference of the commands, made of their declaration; and that it is up to date.
//!
//! `UPDATE_DOCS=1 cargo test -p dormouse --bin dormouse reference` writes it.

use super::Cli;
use clap::{Arg, Command, CommandFactory as _};
use std::fmt::Write as _;
use std::path::PathBuf;

const HEAD: &str = "\
# Commands, flag by flag

This page is made of what `dormouse COMMAND --help` says by `UPDATE_DOCS=1 cargo test -p dormouse --bin dormouse
reference`; edit that. What commands print is shown in [../cli.md](../cli.md).
";

#[test]
fn the_reference_of_the_commands_says_what_their_help_says() {
    let page = page();
    for part in ["## dormouse timer create", "--partial", "DORMOUSE_ADDR"] {
        assert!(page.contains(part), "{part}");
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("docs/reference/cli.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("the folder of the reference is there");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let same = there == page;
    assert!(
        same,
        "docs/reference/cli.md is out of date: UPDATE_DOCS=1 cargo test -p dormouse --bin dormouse reference"
    );
}

fn page() -> String {
    let mut root = Cli::command();
    root.build();
    let mut page = HEAD.to_owned();
    section(&mut page, &root, &["dormouse"]);
    // No line ends in blanks, and the page in one line end.
    let lines: Vec<&str> = page.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n").trim_end())
}

fn section(page: &mut String, command: &Command, path: &[&str]) {
    let is_root = path.len() == 1;
    let _ = write!(page, "\n## {}\n\n", path.join(" "));
    let about = command.get_long_about().or(command.get_about());
    let _ = write!(
        page,
        "{}\n\n",
        about.map(ToString::to_string).unwrap_or_default()
    );
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = write!(page, "```text\n{usage}\n```\n\n");
    let shown = command.get_arguments().filter(|it| is_shown(it, is_root));
    for argument in shown {
        let _ = writeln!(page, "* {}", item(argument));
    }
    if let Some(after) = command.get_after_long_help() {
        let _ = write!(page, "\n{after}\n");
    }
    let commands = command.get_subcommands();
    for command in commands.filter(|it| !it.is_hide_set() && it.get_name() != "help") {
        section(page, command, &[path, &[command.get_name()]].concat());
    }
}

/// What is common to all commands is told once.
fn is_shown(argument: &Arg, is_root: bool) -> bool {
    let own = is_root || !argument.is_global_set();
    own && !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str())
}

/// A flag or a place: how it is written, what it is by default, what it means.
fn item(argument: &Arg) -> String {
    let mut facts = Vec::new();
    if argument.is_required_set() {
        facts.push("required".to_owned());
    }
    if let Some(variable) = argument.get_env() {
        facts.push(format!("`{}`", variable.to_string_lossy()));
    }
    let takes = argument.get_action().takes_values();
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|it| takes && !it.is_hide_set())
        .map(|value| match value.get_help() {
            Some(help) => format!("`{}` ({help})", value.get_name()),
            None => format!("`{}`", value.get_name()),
        })
        .collect();
    if !values.is_empty() {
        facts.push(format!("one of {}", values.join(", ")));
    }
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .filter(|_| takes)
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    if !defaults.is_empty() {
        facts.push(format!("default {}", defaults.join(", ")));
    }
    let facts = match facts.is_empty() {
        true => String::new(),
        false => format!(" ({})", facts.join("; ")),
    };
    let help = argument.get_long_help().or(argument.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("`{}`{facts}: {help}", spelling(argument))
}

fn spelling(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    let value = match argument.get_action().takes_values() {
        true => names.join(" "),
        false => String::new(),
    };
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let parts = [short, long].into_iter().flatten();
    let flags: Vec<String> = parts.collect();
    format!("{} {value}", flags.join(", ")).trim().to_owned()
}
