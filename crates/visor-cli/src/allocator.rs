//! Where the program's memory comes from.
//!
//! A request to a small model makes thousands of small tensors, and the system's allocator takes a
//! tenth of a server's time for them: what is small comes from mimalloc. What is large stays the
//! system's, which keeps such blocks at hand where mimalloc gives their pages back: with all of it
//! from mimalloc, encode of SmolVLM-256M took 1.03 to 1.13 times as long (`docs/performance.md`).
#![expect(unsafe_code, reason = "a measured need; an allocator's interface is unsafe")]

use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout, System};

/// Bytes from which on a block is large.
const LARGE: usize = 1 << 20;

#[global_allocator]
static ALLOCATOR: BySize = BySize;

/// Two allocators, of which the size of a block says whose it is.
struct BySize;

impl BySize {
    /// Whose a block of such a size is.
    fn of(size: usize) -> &'static dyn GlobalAlloc {
        match size < LARGE {
            true => &MiMalloc,
            false => &System,
        }
    }
}

// SAFETY: every call goes on to an allocator that keeps the contract, and a block always to the one
// that it came from: that is told by its size, which `layout` has when it is given back. A block
// that changes sides is a new one, with the old one's bytes.
unsafe impl GlobalAlloc for BySize {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe { Self::of(layout.size()).alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe { Self::of(layout.size()).alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's; of a size the allocator is always the same.
        unsafe { Self::of(layout.size()).dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if (layout.size() < LARGE) == (size < LARGE) {
            // SAFETY: the caller's; both sizes are of the allocator that the block came from.
            return unsafe { Self::of(size).realloc(block, layout, size) };
        }
        // SAFETY: the caller has seen to it that `size` with this alignment makes a layout, the new
        // block does not overlap the old one, and as many bytes are copied as both have.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_its_bytes_when_it_grows_and_shrinks_past_the_border() {
        for sizes in [[10, LARGE], [LARGE - 1, LARGE], [LARGE, 5 * LARGE], [100, 200]] {
            let mut bytes: Vec<u8> = (0..sizes[0]).map(|i| (i % 251) as u8).collect();
            let before = bytes.clone();
            bytes.reserve_exact(sizes[1] - sizes[0]);
            assert_eq!(bytes, before);
            bytes.resize(sizes[1], 7);
            assert!(bytes[sizes[0]..].iter().all(|&byte| byte == 7));
            bytes.truncate(sizes[0]);
            bytes.shrink_to_fit();
            assert_eq!(bytes, before);
            let zeros = vec![0_u8; sizes[1]];
            assert!(zeros.iter().all(|&byte| byte == 0));
        }
    }
}
