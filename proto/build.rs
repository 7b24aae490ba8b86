//! Generates the Rust of the wire from the `.proto` files, without `protoc`.
//!
//! The descriptors are written beside it, for reflection and for clients in other languages.

use prost::Message as _;
use std::error::Error;
use std::path::PathBuf;

const FILES: [&str; 5] = [
    "dormouse/v1/timer.proto",
    "dormouse/v1/worker.proto",
    "dormouse/v1/node.proto",
    "dormouse/v1/group.proto",
    "dormouse/v1/admin.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    for folder in ["dormouse", "google"] {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
    }
    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true);
    let descriptors = compiler
        .open_files(FILES.map(|file| root.join(file)))?
        .file_descriptor_set();
    std::fs::write(out.join("dormouse.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // Payloads and records are passed on, not copied.
        .bytes(".dormouse.v1")
        // Tables in a defined order, so that equal messages have equal encodings.
        .btree_map(".dormouse.v1")
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        // A call that nobody has filled in yet answers UNIMPLEMENTED.
        .generate_default_stubs(true)
        .out_dir(&out)
        .compile_fds(descriptors)?;
    Ok(())
}
