//! The wire of Dormouse: what `dormouse/v1/*.proto` says, as generated Rust, and nothing else.
//!
//! Servers implement the traits in the `..._server` modules, clients use the `..._client` modules. A call that a
//! server does not fill in answers `UNIMPLEMENTED`. These types stop at the edge of each program: what they may
//! hold is checked in its `convert.rs`, and inside it uses types of its own.

/// Package `dormouse.v1`.
pub mod v1 {
    // The generator documents messages and fields from the comments, but not its own clients and servers; and it
    // does not follow this workspace's taste.
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    include!(concat!(env!("OUT_DIR"), "/dormouse.v1.rs"));
}

/// The descriptors of the package and of what it imports, encoded: for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/dormouse.bin"));
