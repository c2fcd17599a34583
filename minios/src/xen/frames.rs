//! Page frames and the heap.
//!
//! Frames are buddy blocks; the heap is talc, which asks for frames as it grows and so leaves to
//! pages what the heap does not need. Both say so when nothing is left: an allocation fails, and
//! the service answers that. Neither is ever used by the trap and panic handlers.

use core::alloc::Layout;
use core::ptr::NonNull;

use buddy_system_allocator::Heap;
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;

use super::lone::Lone;
use crate::{MemoryInfo, PAGE_SIZE};

/// Blocks up to 2^34 bytes: more than a web site's guest is given.
static FRAMES: Lone<Heap<35>> = Lone::new(Heap::new());

/// What the heap asks of the frames at least: large enough to be rare, small enough that a domain
/// of a few MiB does not notice the rest.
const HEAP_STEP: usize = 128 * 1024;

#[global_allocator]
static HEAP: Global = Global(Lone::new(Talc::new(FromFrames { taken: 0 })));

/// Adds free memory.
///
/// # Safety
/// `start..end` is mapped, writable, page-aligned and used by nothing else, for ever.
pub(super) unsafe fn add(start: usize, end: usize) {
    // SAFETY: the caller's promise is what `add_to_heap` asks.
    let _ = FRAMES.with(|frames| unsafe { frames.add_to_heap(start, end) });
}

fn layout(count: usize) -> Option<Layout> {
    let size = count.checked_mul(PAGE_SIZE)?;
    // An alignment of at least the block's size keeps the buddy's own bookkeeping exact.
    Layout::from_size_align(size.checked_next_power_of_two()?, PAGE_SIZE).ok()
}

/// Zeroed pages, contiguous.
pub(super) fn alloc(count: usize) -> Option<NonNull<u8>> {
    let at = alloc_dirty(count)?;
    // SAFETY: the block has at least `count` pages and is ours.
    unsafe { at.as_ptr().write_bytes(0, count * PAGE_SIZE) };
    Some(at)
}

fn alloc_dirty(count: usize) -> Option<NonNull<u8>> {
    let layout = layout(count)?;
    FRAMES.with(|frames| frames.alloc(layout).ok())?
}

/// Gives pages back.
///
/// # Safety
/// As for [`crate::Platform::free_pages`].
pub(super) unsafe fn free(at: NonNull<u8>, count: usize) {
    if let Some(layout) = layout(count) {
        // SAFETY: `alloc` made this block with the same layout.
        let _ = FRAMES.with(|frames| unsafe { frames.dealloc(at, layout) });
    }
}

pub(super) fn info() -> MemoryInfo {
    let (total, used) = FRAMES
        .with(|frames| (frames.stats_total_bytes(), frames.stats_alloc_actual()))
        .unwrap_or_default();
    let heap = HEAP
        .0
        .with(|talc| (talc.source.taken, talc.counters().allocated_bytes));
    let (heap_size, heap_used) = heap.unwrap_or_default();
    MemoryInfo {
        frames_total: total / PAGE_SIZE,
        frames_free: (total - used) / PAGE_SIZE,
        heap_used,
        heap_size,
    }
}

/// Where talc's memory comes from.
#[derive(Debug)]
struct FromFrames {
    taken: usize,
}

// SAFETY: `acquire` uses the frames only, which allocate nothing from a heap.
unsafe impl Source for FromFrames {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        // Room for talc's own words, and in the first step for its bins.
        let room = if talc.is_metadata_established() {
            64
        } else {
            talc::min_first_heap_size::<B>()
        };
        let least = layout
            .size()
            .checked_add(layout.align())
            .and_then(|size| size.checked_add(room))
            .ok_or(())?;
        // The last frames are not in blocks of the usual step: ask for less before giving up.
        let (at, size) = [least.max(HEAP_STEP), least]
            .into_iter()
            .find_map(|size| {
                let size = size.checked_next_power_of_two()?.max(PAGE_SIZE);
                Some((alloc_dirty(size / PAGE_SIZE)?, size))
            })
            .ok_or(())?;
        // SAFETY: a block that the frames gave up for good; nothing else uses it.
        match unsafe { talc.claim(at.as_ptr(), size) } {
            Some(_) => {
                talc.source.taken += size;
                Ok(())
            }
            None => {
                // SAFETY: it was taken just now, with this count, and not claimed.
                unsafe { free(at, size / PAGE_SIZE) };
                Err(())
            }
        }
    }
}

struct Global(Lone<Talc<FromFrames, talc::DefaultBinning>>);

// SAFETY: talc's own contract, with mutual exclusion by `Lone`; a re-entrant call fails.
unsafe impl core::alloc::GlobalAlloc for Global {
    // Not in each of a hundred places that allocate.
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = self.0.with(|talc| {
            // SAFETY: the caller promises a layout of non-zero size.
            unsafe { talc.allocate(layout) }
        });
        block
            .flatten()
            .map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    #[inline(never)]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller promises that `alloc` gave `at` for this layout.
        let _ = self.0.with(|talc| unsafe { talc.deallocate(at, layout) });
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `at` is a live block of `layout`, and a valid new size.
        let in_place = self
            .0
            .with(|talc| unsafe { talc.try_realloc_in_place(at, layout, new_size) });
        if in_place == Some(true) {
            return at;
        }
        // SAFETY: `new_size` is not zero and does not overflow with this alignment.
        let new = unsafe {
            let new_layout = Layout::from_size_align_unchecked(new_size, layout.align());
            self.alloc(new_layout)
        };
        if !new.is_null() {
            // SAFETY: two live blocks of at least that many bytes; the old one is then given up.
            unsafe {
                core::ptr::copy_nonoverlapping(at, new, layout.size().min(new_size));
                self.dealloc(at, layout);
            }
        }
        new
    }
}
