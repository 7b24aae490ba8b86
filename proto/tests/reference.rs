//! The reference of the API, made of the comments of the `.proto` files; and that it is up to date.
//!
//! `UPDATE_DOCS=1 cargo test -p dormouse-proto` writes it.

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    MethodDescriptorProto, ServiceDescriptorProto, field_descriptor_proto,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// In reading order.
const FILES: [&str; 5] = [
    "dormouse/v1/timer.proto",
    "dormouse/v1/worker.proto",
    "dormouse/v1/node.proto",
    "dormouse/v1/admin.proto",
    "dormouse/v1/group.proto",
];

const HEAD: &str = "\
# The API

This page is made of the comments in `proto/dormouse/v1/*.proto` by `UPDATE_DOCS=1 cargo test -p dormouse-proto`; edit
those. Agents and the coordinator listen for gRPC on one port each; which of them serves a service is said there.
Numbers are those of the wire.
";

/// The comments of a file, by the path of what they stand before.
type Comments = BTreeMap<Vec<i32>, String>;

#[test]
fn the_reference_of_the_api_says_what_the_protocol_says() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let page = page(&root);
    assert!(page.contains("CreateTimer") && page.contains("ImportRequest"));
    let path = root.join("../docs/reference/api.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("the folder of the reference is there");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let same = there == page;
    assert!(
        same,
        "docs/reference/api.md is out of date: UPDATE_DOCS=1 cargo test -p dormouse-proto"
    );
}

fn page(root: &Path) -> String {
    let mut compiler = protox::Compiler::new([root]).expect("the folder is there");
    compiler.include_source_info(true).include_imports(false);
    let files = FILES.map(|file| root.join(file));
    let compiled = compiler.open_files(files).expect("the protocol compiles");
    let set = compiled.file_descriptor_set();
    let mut page = HEAD.to_owned();
    for name in FILES {
        let mut files = set.file.iter();
        let file = files.find(|file| file.name() == name);
        page.push_str(&section(file.expect("it was compiled")));
    }
    page
}

fn section(file: &FileDescriptorProto) -> String {
    let comments = comments(file);
    let mut text = format!("\n## {}\n\n", file.name());
    text.push_str(&paragraphs(&comments, &[12]));
    for (at, service) in (0..).zip(&file.service) {
        text.push_str(&self::service(service, &comments, &[6, at]));
    }
    for (at, message) in (0..).zip(&file.message_type) {
        text.push_str(&self::message(message, &comments, &[4, at]));
    }
    for (at, choice) in (0..).zip(&file.enum_type) {
        text.push_str(&self::choice(choice, &comments, &[5, at]));
    }
    text
}

fn comments(file: &FileDescriptorProto) -> Comments {
    let info = file.source_code_info.as_ref();
    let locations = info
        .map(|info| info.location.as_slice())
        .unwrap_or_default();
    let comments = locations.iter().filter_map(|it| {
        let detached = it.leading_detached_comments.concat();
        let leading = it.leading_comments.clone().unwrap_or_default();
        // What stands before the `syntax` of a file is about the file.
        let text = if it.path == [12] {
            detached + &leading
        } else {
            leading
        };
        (!text.trim().is_empty()).then(|| (it.path.clone(), text))
    });
    comments.collect()
}

/// The lines of a comment without the blank that each begins with.
fn lines(comments: &Comments, path: &[i32]) -> Vec<String> {
    let text = comments.get(path).map(String::as_str).unwrap_or_default();
    let lines = text.trim_end().lines();
    lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned())
        .collect()
}

fn paragraphs(comments: &Comments, path: &[i32]) -> String {
    match lines(comments, path).as_slice() {
        [] => String::new(),
        lines => format!("{}\n\n", lines.join("\n")),
    }
}

/// A comment as what follows the name of an item in a list.
fn item(comments: &Comments, path: &[i32]) -> String {
    lines(comments, path).join("\n  ")
}

fn within(path: &[i32], more: &[i32]) -> Vec<i32> {
    [path, more].concat()
}

fn service(service: &ServiceDescriptorProto, comments: &Comments, path: &[i32]) -> String {
    let mut text = format!("### {}\n\n", service.name());
    text.push_str(&paragraphs(comments, path));
    for (at, method) in (0..).zip(&service.method) {
        let words = item(comments, &within(path, &[2, at]));
        let _ = writeln!(text, "* {}: {words}", call(method));
    }
    text.push('\n');
    text
}

fn call(method: &MethodDescriptorProto) -> String {
    let side = |kind: &str, streams: bool| {
        let stream = if streams { "stream of " } else { "" };
        format!("{stream}{}", link(kind))
    };
    format!(
        "**{}** ({}) returns {}",
        method.name(),
        side(method.input_type(), method.client_streaming()),
        side(method.output_type(), method.server_streaming())
    )
}

fn message(message: &DescriptorProto, comments: &Comments, path: &[i32]) -> String {
    let mut text = format!("### {}\n\n", message.name());
    text.push_str(&paragraphs(comments, path));
    for (at, field) in (0..).zip(&message.field) {
        let words = item(comments, &within(path, &[2, at]));
        let number = field.number();
        let kind = self::kind(field, message);
        let choice = field.oneof_index.filter(|_| !field.proto3_optional());
        let choice = choice.and_then(|at| message.oneof_decl.get(usize::try_from(at).ok()?));
        let choice = choice.map(|choice| format!(", one of `{}`", choice.name()));
        let choice = choice.unwrap_or_default();
        let _ = writeln!(
            text,
            "* `{}` ({kind}, {number}{choice}): {words}",
            field.name()
        );
    }
    for (at, choice) in (0..).zip(&message.oneof_decl) {
        let words = item(comments, &within(path, &[8, at]));
        if !words.is_empty() {
            let _ = writeln!(text, "* one of `{}`: {words}", choice.name());
        }
    }
    if !message.field.is_empty() {
        text.push('\n');
    }
    for (at, nested) in (0..).zip(&message.nested_type) {
        let is_map = nested.options.as_ref().is_some_and(|it| it.map_entry());
        if !is_map {
            text.push_str(&self::message(nested, comments, &within(path, &[3, at])));
        }
    }
    text
}

fn choice(choice: &EnumDescriptorProto, comments: &Comments, path: &[i32]) -> String {
    let mut text = format!("### {}\n\n", choice.name());
    text.push_str(&paragraphs(comments, path));
    for (at, value) in (0..).zip(&choice.value) {
        let words = item(comments, &within(path, &[2, at]));
        let _ = writeln!(text, "* `{}` ({}): {words}", value.name(), value.number());
    }
    text.push('\n');
    text
}

/// The type of a field in words, of a map those of its keys and values.
fn kind(field: &FieldDescriptorProto, message: &DescriptorProto) -> String {
    let short = field.type_name().rsplit('.').next().unwrap_or_default();
    let mut nested = message.nested_type.iter();
    let entry = nested
        .find(|it| it.name() == short && it.options.as_ref().is_some_and(|it| it.map_entry()));
    if let Some([key, value]) = entry.map(|entry| entry.field.as_slice()) {
        return format!("map of {} to {}", kind(key, message), kind(value, message));
    }
    let repeated = field.label() == field_descriptor_proto::Label::Repeated;
    let many = if repeated { "repeated " } else { "" };
    let optional = if field.proto3_optional() {
        "optional "
    } else {
        ""
    };
    let name = match field.type_name() {
        "" => field
            .r#type()
            .as_str_name()
            .trim_start_matches("TYPE_")
            .to_lowercase(),
        name => link(name),
    };
    format!("{many}{optional}{name}")
}

/// A type of ours as a link to its section, another one by its full name.
fn link(name: &str) -> String {
    let name = name.trim_start_matches('.');
    match name.strip_prefix("dormouse.v1.") {
        Some(own) => format!("[{own}](#{})", own.to_lowercase()),
        None => format!("`{name}`"),
    }
}
