//! Drives a hierarchy by JSON: one operation per line on stdin, one state per line on stdout.
//!
//! ```text
//! printf '%s\n' '{"op":"join","node":"n0","rack":"r0","now":0}' \
//!               '{"op":"idle","node":"n0","first":100,"self_wake":null,"now":0}' |
//!   cargo run -p dormouse-engine --example replay
//! ```
//! What the operations are is told in `op`, what they do in `stage`, and the answer in `state`.

mod lines;
mod op;
mod stage;
mod state;

fn main() -> std::io::Result<()> {
    lines::answer(std::io::stdin().lock(), std::io::stdout().lock())
}
