//! An allocator that never takes anything back: a run is short, and what does not fit traps.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};
use core::ptr::null_mut;

/// Room for the order and a few messages, within the program's two pages beside its stack.
const ROOM: usize = 64 << 10;

#[repr(C, align(16))]
struct Bump {
    room: UnsafeCell<[u8; ROOM]>,
    used: Cell<usize>,
}

// SAFETY: a program has one thread.
unsafe impl Sync for Bump {}

#[global_allocator]
static BUMP: Bump = Bump {
    room: UnsafeCell::new([0; ROOM]),
    used: Cell::new(0),
};

// SAFETY: a block lies inside `room`, above everything handed out before and at a multiple of its
// alignment (`room` itself is aligned to 16, more than any type here asks for).
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.used.get().next_multiple_of(layout.align());
        match start.checked_add(layout.size()) {
            Some(end) if end <= ROOM => {
                self.used.set(end);
                self.room.get().cast::<u8>().wrapping_add(start)
            }
            _ => null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
