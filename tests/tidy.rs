//! The rules of CONTRIBUTING.md that a machine can see, checked over every file of the repository.
//!
//! Each rule is a test of its own that lists its offenders. The limits here are the outermost ones; what is good is
//! well within them. Formatting and ordinary lints are `make check`'s.

#[path = "tidy/findings.rs"]
mod findings;

use findings::Findings;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 400;
const PARAMETERS_MAX: usize = 5;
const HEADER_LINES_MAX: usize = 25;
const VAGUE_MODULES: [&str; 8] = [
    "util", "utils", "common", "helper", "helpers", "manager", "managers", "misc",
];

/// Every file of Rust, read and walked once for all rules.
static FILES: LazyLock<Vec<(Source, Findings)>> = LazyLock::new(|| {
    let paths = tracked().into_iter().filter(|path| path.ends_with(".rs"));
    let files = paths.map(|path| source(&path));
    let files: Vec<_> = files
        .map(|it| (Findings::of(&it.path, &it.text, it.is_test), it))
        .collect();
    assert!(files.len() > 50, "the files of the workspace are found");
    files
        .into_iter()
        .map(|(findings, source)| (source, findings))
        .collect()
});

/// A rule: what in this file offends it, as `:LINE: what`.
type Rule = fn(&Source, &Findings) -> Vec<String>;

/// Which crates of ours a crate may be made of; an arrow that is not here is not allowed.
const ARROWS: [(&str, &[&str]); 11] = [
    ("dormouse-proto", &[]),
    ("dormouse-engine", &[]),
    ("dormouse-store", &[]),
    ("dormouse-edge", &["engine", "proto", "store"]),
    ("dormouse-server", &["edge", "engine", "proto", "store"]),
    ("dormouse-agent", &["edge", "engine", "proto", "store"]),
    ("dormouse-client", &["proto"]),
    ("dormouse", &["agent", "client", "server"]),
    ("dormouse-sim", &["edge", "engine", "store"]),
    ("dormouse-large", &["client"]),
    (
        "dormouse-benches",
        &["agent", "client", "engine", "proto", "server", "store"],
    ),
];

/// What is known of one file.
struct Source {
    path: String,
    text: String,
    is_test: bool,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the repository that is or will be committed, relative to its root.
fn tracked() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files of the repository");
    assert!(listed.status.success(), "git ls-files: {listed:?}");
    let listed = String::from_utf8(listed.stdout).expect("names of files are UTF-8");
    let paths = listed.lines().map(str::to_owned);
    paths.filter(|path| root().join(path).is_file()).collect()
}

fn source(path: &str) -> Source {
    let text = std::fs::read_to_string(root().join(path)).expect("a source is text");
    Source {
        is_test: is_test_file(path),
        path: path.to_owned(),
        text,
    }
}

/// Whether a file is compiled for tests only. The simulator and the runs in the large are programs, although they stand
/// among the tests.
fn is_test_file(path: &str) -> bool {
    let program = path.strip_prefix("tests/sim/");
    let program = program.or_else(|| path.strip_prefix("tests/large/"));
    let path = program.unwrap_or(path);
    let mut parts = Path::new(path).components();
    parts.any(|part| {
        matches!(
            part.as_os_str().to_str(),
            Some("tests" | "tests.rs" | "benches")
        )
    })
}

/// Applies a rule to every file of Rust, and fails with the list of what offends it.
fn check(rule: &str, offences: Rule) {
    let found = FILES.iter().flat_map(|(source, findings)| {
        let offences = offences(source, findings).into_iter();
        offences.map(|offence| format!("{}{offence}", source.path))
    });
    report(rule, found);
}

fn report(rule: &str, offences: impl Iterator<Item = String>) {
    let mut list = String::new();
    for offence in offences {
        let _ = write!(list, "\n  {offence}");
    }
    assert!(list.is_empty(), "{rule}:{list}");
}

fn long_functions(_: &Source, findings: &Findings) -> Vec<String> {
    let functions = findings.functions.iter();
    let long = functions.filter(|(_, _, length)| *length > FUNCTION_LINES_MAX);
    long.map(|(name, line, length)| format!(":{line}: {name} has {length}"))
        .collect()
}

fn many_parameters(_: &Source, findings: &Findings) -> Vec<String> {
    let functions = findings.parameters.iter();
    let many = functions.filter(|(_, _, count)| *count > PARAMETERS_MAX);
    many.map(|(name, line, count)| format!(":{line}: {name} has {count}"))
        .collect()
}

fn long_file(source: &Source, findings: &Findings) -> Vec<String> {
    let for_tests = findings.test_parts.iter();
    let for_tests: usize = for_tests.map(|(first, last)| last + 1 - first).sum();
    let length = source.text.lines().count() - for_tests;
    let is_long = length > FILE_LINES_MAX && !source.is_test;
    is_long.then(|| format!(": {length}")).into_iter().collect()
}

fn bad_header(source: &Source, _: &Findings) -> Vec<String> {
    let header = source.text.lines().take_while(|it| it.starts_with("//!"));
    let length = header.count();
    // A library's first page is its manual.
    let is_long = length > HEADER_LINES_MAX && !source.path.ends_with("/lib.rs");
    let is_good = length > 0 && !is_long;
    (!is_good)
        .then(|| format!(": {length} lines"))
        .into_iter()
        .collect()
}

fn unwraps(_: &Source, findings: &Findings) -> Vec<String> {
    findings
        .unwraps
        .iter()
        .map(|line| format!(":{line}"))
        .collect()
}

fn vague_test_names(_: &Source, findings: &Findings) -> Vec<String> {
    let functions = findings.parameters.iter();
    let vague = functions.filter(|(name, ..)| name.starts_with("test_") || name == "it_works");
    vague
        .map(|(name, line, _)| format!(":{line}: {name}"))
        .collect()
}

fn unfinished(_: &Source, findings: &Findings) -> Vec<String> {
    let macros = findings.unfinished.iter();
    macros
        .map(|(name, line)| format!(":{line}: {name}!"))
        .collect()
}

fn vague_modules(source: &Source, findings: &Findings) -> Vec<String> {
    let stem = Path::new(&source.path)
        .file_stem()
        .and_then(|it| it.to_str());
    let own = (stem.unwrap_or_default().to_owned(), 1);
    let modules = findings.modules.iter().chain([&own]);
    let vague = modules.filter(|(name, _)| VAGUE_MODULES.contains(&name.as_str()));
    vague
        .map(|(name, line)| format!(":{line}: {name}"))
        .collect()
}

fn asyncs_of_engine(source: &Source, findings: &Findings) -> Vec<String> {
    let lines = findings.asyncs.iter();
    let lines = lines.filter(|_| source.path.starts_with("engine/src/"));
    lines.map(|line| format!(":{line}")).collect()
}

#[test]
fn functions_have_at_most_70_lines() {
    check("functions are longer than 70 lines", long_functions);
}

#[test]
fn functions_have_at_most_5_parameters() {
    check("functions have more than 5 parameters", many_parameters);
}

#[test]
fn files_have_at_most_400_lines_without_tests() {
    check("files are longer than 400 lines", long_file);
}

#[test]
fn files_begin_by_saying_what_they_are() {
    check("files do not begin with 1 to 25 lines of `//!`", bad_header);
}

#[test]
fn nothing_is_unwrapped_outside_tests() {
    check(
        "`.unwrap()` outside tests; say why it holds with `expect`",
        unwraps,
    );
}

#[test]
fn tests_are_named_after_what_they_claim() {
    check(
        "functions are named like `test_something`",
        vague_test_names,
    );
}

#[test]
fn nothing_is_left_to_do() {
    check("unfinished code", unfinished);
}

#[test]
fn modules_are_named_after_what_they_hold() {
    check("modules have vague names", vague_modules);
}

#[test]
fn the_engine_has_no_async_code() {
    check("async code in the engine", asyncs_of_engine);
}

/// The names under `[dependencies]` of a manifest, and the name of its package.
fn manifest(text: &str) -> (String, Vec<String>) {
    let (mut section, mut package, mut dependencies) = ("", String::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if let Some((key, value)) = line.split_once('=') {
            let key = key.trim().split('.').next().unwrap_or_default();
            match (section, key) {
                ("[package]", "name") => package = value.trim().trim_matches('"').to_owned(),
                ("[dependencies]", key) if !key.starts_with('#') => {
                    dependencies.push(key.to_owned())
                }
                _ => {}
            }
        }
    }
    (package, dependencies)
}

fn manifests() -> BTreeMap<String, Vec<String>> {
    let paths = tracked().into_iter();
    let paths = paths.filter(|it| it == "Cargo.toml" || it.ends_with("/Cargo.toml"));
    let manifests = paths.map(|path| manifest(&source(&path).text)).collect();
    assert!(BTreeMap::len(&manifests) >= 8, "the manifests are found");
    manifests
}

fn forbidden_arrows(package: &str, dependencies: &[String]) -> Vec<String> {
    let allowed = ARROWS.iter().find(|(name, _)| *name == package);
    let Some((_, allowed)) = allowed else {
        return vec![format!("{package} has no place in the list of arrows")];
    };
    let ours = dependencies
        .iter()
        .filter_map(|it| it.strip_prefix("dormouse-"));
    let forbidden = ours.filter(|it| !allowed.contains(it));
    forbidden
        .map(|it| format!("{package} -> dormouse-{it}"))
        .collect()
}

#[test]
fn crates_depend_on_each_other_only_as_drawn() {
    let manifests = manifests();
    let found = manifests
        .iter()
        .flat_map(|(name, on)| forbidden_arrows(name, on));
    report("dependencies that are not drawn", found);
}

#[test]
fn the_engine_can_do_no_io() {
    const BANNED: [&str; 8] = [
        "tokio",
        "tonic",
        "sled",
        "rustix",
        "rand",
        "futures-util",
        "tracing",
        "async-trait",
    ];
    let manifests = manifests();
    let engine = manifests["dormouse-engine"].iter();
    let found = engine.filter(|it| BANNED.contains(&it.as_str())).cloned();
    report(
        "the engine depends on what does I/O, waits or draws lots",
        found,
    );
}

#[test]
fn no_file_names_a_place_of_one_machine() {
    // Put together here, so that this file does not name them.
    let places = [
        ["/wo", "rk/"].concat(),
        ["../sha", "red"].concat(),
        ["/ho", "me/"].concat(),
    ];
    let files = tracked().into_iter();
    let found = files.filter_map(|path| {
        let text = std::fs::read_to_string(root().join(&path)).ok()?;
        let place = places.iter().find(|place| text.contains(*place))?;
        Some(format!("{path}: {place}"))
    });
    report("files name places of one machine", found);
}

/// Every rule finds what it is for; a rule that finds nothing anywhere would pass as well.
#[test]
fn every_rule_finds_a_planted_offence() {
    let long = "    let _ = 1;\n".repeat(80);
    let text = format!(
        "mod util {{}}\nfn test_x(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {{\n{long}}}\n\
         async fn g() {{ x.unwrap(); assert!(x.unwrap()); todo!() }}\n\
         #[cfg(test)]\nmod tests {{ fn h() {{ x.unwrap() }} }}\n{}",
        "// More.\n".repeat(400)
    );
    let source = Source {
        path: "engine/src/planted.rs".into(),
        text,
        is_test: false,
    };
    let findings = Findings::of(&source.path, &source.text, source.is_test);
    let rules: [(&str, Rule, usize); 9] = [
        ("long functions", long_functions, 1),
        ("parameters", many_parameters, 1),
        ("long files", long_file, 1),
        ("headers", bad_header, 1),
        ("unwraps", unwraps, 2),
        ("names of tests", vague_test_names, 1),
        ("unfinished", unfinished, 1),
        ("modules", vague_modules, 1),
        ("async", asyncs_of_engine, 1),
    ];
    for (name, rule, count) in rules {
        let found = rule(&source, &findings);
        assert_eq!(found.len(), count, "{name}: {found:?}");
    }
    let (package, on) = manifest(
        "[package]\nname = \"dormouse-client\"\n[dependencies]\ndormouse-engine.workspace = true\n",
    );
    assert_eq!(forbidden_arrows(&package, &on).len(), 1);
}
