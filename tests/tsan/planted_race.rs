//! Two threads write the same memory without any order between them. `tests/tsan.sh` runs this to see
//! that the sanitizer would catch such a race in Watchpost; nothing else uses it.
#![allow(unsafe_code, reason = "only unsafe code can have a data race")]

use std::cell::UnsafeCell;

struct Shared(UnsafeCell<u64>);

// SAFETY: none. That is what is to be caught.
unsafe impl Sync for Shared {}

static SHARED: Shared = Shared(UnsafeCell::new(0));

fn main() {
    let write = || {
        for _ in 0..1_000 {
            // SAFETY: none, as above.
            unsafe { *SHARED.0.get() += 1 }
        }
    };
    let other = std::thread::spawn(write);
    write();
    other.join().expect("it only adds");
}
