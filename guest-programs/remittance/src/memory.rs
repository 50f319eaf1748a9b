//! An allocator for lists that come and go in turn.
//!
//! What the host returns is read and dropped before the next of its kind arrives, so the newest
//! block is always the first to go: freeing it moves a mark back, freeing an older one is
//! forgotten. A run that needs more than the room there is traps.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};
use core::ptr::null_mut;

/// Room for the order (1 KiB), a reply (8 KiB), an answer and the receipt, several times over,
/// within the program's two pages beside its stack.
const ROOM: usize = 64 << 10;

#[repr(C, align(16))]
struct Stack {
    room: UnsafeCell<[u8; ROOM]>,
    used: Cell<usize>,
}

// SAFETY: a program has one thread.
unsafe impl Sync for Stack {}

#[global_allocator]
static STACK: Stack = Stack {
    room: UnsafeCell::new([0; ROOM]),
    used: Cell::new(0),
};

// SAFETY: a block lies inside `room`, above everything in use and at a multiple of its alignment
// (`room` itself is aligned to 16, more than any type here asks for); it is handed out again only
// after it was freed.
unsafe impl GlobalAlloc for Stack {
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

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let start = block.addr().wrapping_sub(self.room.get().addr());
        if start.wrapping_add(layout.size()) == self.used.get() {
            self.used.set(start);
        }
    }
}
