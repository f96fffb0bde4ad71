//! A million inputs that are nearly right: no panic, and no more memory than an input is worth.

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use common::mutate::{Lots, corpus, mutated, parse_all};

/// The system's allocator, counting what is in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = IN_USE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(used, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const INPUTS: usize = 1_000_000;

#[test]
fn a_million_nearly_right_inputs() {
    let (corpus, trusted) = (corpus(), [common::key().public()]);
    let (mut lots, mut taken, mut dearest) = (Lots(3), 0usize, 0.0f64);
    for _ in 0..INPUTS {
        let input = mutated(&corpus, &mut lots);
        let before = IN_USE.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        taken += parse_all(&input, &trusted);
        let used = MOST.load(Ordering::Relaxed) - before;
        // Text, its parsed form and the text written again, with the room that lists keep.
        let bound = 40 * input.len() + (1 << 16);
        assert!(used <= bound, "{used} bytes for an input of {}", input.len());
        dearest = dearest.max(used as f64 / (input.len() as f64 + 1_000.0));
    }
    println!("{INPUTS} inputs, {taken} taken by some parser, at most {dearest:.1} bytes a byte");
    assert!(taken > 0);
}
