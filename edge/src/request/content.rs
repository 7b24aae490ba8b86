//! What a timer carries: its payload, the media type of it, its labels.

use super::fields::shown;
use crate::fault::Faults;
use dormouse_engine::timer::Payload;
use std::collections::BTreeMap;

/// The largest payload, in bytes.
pub const PAYLOAD_MAX: usize = 64 * 1024;
/// The most labels of a timer.
pub const LABELS_MAX: usize = 64;
/// The longest key or value of a label, in bytes.
pub const LABEL_LENGTH_MAX: usize = 63;
/// The longest media type, in bytes.
pub const CONTENT_TYPE_LENGTH_MAX: usize = 255;

pub(super) fn payload(faults: &mut Faults, path: &str, payload: &[u8]) -> Option<Payload> {
    if payload.len() > PAYLOAD_MAX {
        let why = format!(
            "has {} bytes; at most {PAYLOAD_MAX} are allowed",
            payload.len()
        );
        faults.invalid(path, why);
        return None;
    }
    Some(Payload(payload.into()))
}

pub(super) fn content_type(faults: &mut Faults, path: &str, text: String) -> Option<String> {
    let plain = text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if text.len() > CONTENT_TYPE_LENGTH_MAX || !plain {
        let why = format!(
            "is {}; must be at most {CONTENT_TYPE_LENGTH_MAX} visible ASCII characters",
            shown(&text)
        );
        faults.invalid(path, why);
        return None;
    }
    Some(text)
}

pub(super) fn labels(
    faults: &mut Faults,
    path: &str,
    labels: BTreeMap<String, String>,
) -> Option<BTreeMap<String, String>> {
    if labels.len() > LABELS_MAX {
        let why = format!(
            "has {} labels; at most {LABELS_MAX} are allowed",
            labels.len()
        );
        faults.invalid(path, why);
        return None;
    }
    let mut right = true;
    for (key, value) in &labels {
        let fits =
            |text: &str| text.len() <= LABEL_LENGTH_MAX && !text.chars().any(char::is_control);
        if key.is_empty() || !fits(key) || !fits(value) {
            let shown: String = key.chars().take(LABEL_LENGTH_MAX).collect();
            let why = format!(
                "key and value must have at most {LABEL_LENGTH_MAX} bytes without control characters, the key at least one"
            );
            faults.invalid(format!("{path}[{shown:?}]"), why);
            right = false;
        }
    }
    right.then_some(labels)
}
