//! An allocator that adds up what is held, as glibc's rounds it: eight bytes of its own for each piece, in steps
//! of sixteen, at least 32. What a whole process takes is measured elsewhere.

#![expect(
    unsafe_code,
    reason = "only an allocator sees what is allocated, and to be one is an unsafe trait"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub(crate) struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// How many bytes are held now.
pub(crate) fn held() -> usize {
    HELD.load(Relaxed)
}

fn rounded(size: usize) -> usize {
    (size + 8).next_multiple_of(16).max(32)
}

// SAFETY: everything is the system allocator's work; this one only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(rounded(layout.size()), Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(rounded(layout.size()), Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(place, layout) }
    }
}
