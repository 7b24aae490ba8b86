//! A set of slots as one byte: bit 0 is slot 0.

use super::SLOTS_MAX;
use crate::steps;

/// The slots of a mask, lowest first.
pub(super) fn slots(mask: u8) -> impl Iterator<Item = u8> {
    let mut left = mask;
    std::iter::from_fn(move || {
        let slot = lowest(left)?;
        steps::visit();
        left &= left - 1;
        Some(slot)
    })
}

/// The lowest slot of a mask, if it has any.
pub(super) fn lowest(mask: u8) -> Option<u8> {
    let slot = u8::try_from(mask.trailing_zeros()).unwrap_or(SLOTS_MAX);
    (slot < SLOTS_MAX).then_some(slot)
}

/// Puts a slot in, or takes it out.
pub(super) const fn set(mask: &mut u8, slot: u8, value: bool) {
    *mask = if value {
        *mask | 1 << slot
    } else {
        *mask & !(1 << slot)
    };
}
