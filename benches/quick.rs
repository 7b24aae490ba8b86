//! Whether a short form is asked for, as `make bench-quick` does: by `--quick`, which is criterion's own flag too.
//!
//! What is left out then is for each bench to say.

/// Whether `--quick` is among the arguments.
pub(crate) fn is_asked() -> bool {
    std::env::args().any(|argument| argument == "--quick")
}
