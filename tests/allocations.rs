//! Decoding on the processor allocates nothing per token: a program of its own, whose allocator
//! counts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mqt::Sampling;
use mqt::gpu::AdapterChoice;
use mqt::internals::model::{Slot, Want};
use mqt::model::{Arithmetic, LoadOptions, ModelSource};
use mqt::{Cancel, Model};
use pollster::block_on;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory that was asked for so far, by any thread: how often.
static ASKED: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[allow(unsafe_code, reason = "the system's allocator is handed what it is asked, unchanged")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tokens before counting starts: vectors have the sizes they need.
const FIRST: usize = 2;
const COUNTED: usize = 128;
/// The queue of the threads' work, which is rayon's, takes a block for 63 calls from outside; a
/// token makes two or three. Its threads take memory of their own when they first help each other,
/// so that a run has 4 to 12. One allocation per token would be 128.
const MOST: usize = COUNTED / 4;

#[test]
fn decoding_on_the_processor_allocates_nothing_per_token() {
    for arithmetic in [Arithmetic::Fast, Arithmetic::Exact] {
        let mut options = LoadOptions::on(AdapterChoice::Cpu);
        options.arithmetic = arithmetic;
        let model = block_on(Model::load(&ModelSource::Bundled, &options, &mut |_| {})).unwrap();
        let drawn = Sampling {
            temperature: 1.0,
            top_p: 0.9,
            repetition_penalty: 1.1,
            ..Default::default()
        };
        for sampling in [Sampling::default(), drawn] {
            let asked = block_on(asked_while_decoding(&model, &sampling));
            assert!(asked <= MOST, "{asked} in {COUNTED} tokens, {arithmetic:?}, {sampling:?}");
        }
    }
}

/// How often memory is asked for while [`COUNTED`] tokens are generated.
async fn asked_while_decoding(model: &Model, sampling: &Sampling) -> usize {
    let cancel = Cancel::new();
    let prompt: Vec<Slot> = (5..45).map(Slot::Token).collect();
    let mut cache = model.new_cache(256).await.unwrap();
    model.begin(&mut cache, prompt.len(), FIRST + COUNTED, sampling, &[], &[]);
    model.extend(&mut cache, &prompt, &[], Want::Pick, &cancel).await.unwrap();
    let mut generation = model.generation(&mut cache);
    let mut before = 0;
    for i in 0..FIRST + COUNTED {
        if i == FIRST {
            before = ASKED.load(Ordering::Relaxed);
        }
        generation.next(&cancel).await.unwrap().unwrap();
    }
    ASKED.load(Ordering::Relaxed) - before
}
