//! The allocators of the process.

use std::ffi::c_long;

/// For the many small vectors that a batch makes and frees beside its arena.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// mimalloc's `mi_option_purge_delay` in milliseconds; the crate has no name for it.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
const NEVER: c_long = -1;

/// For a process that has an engine: what a batch frees, the next one is made of. A worker that waits
/// for more than ten milliseconds returned what the last batch had taken, and the next one took it
/// anew, page by page: batches of 400 events with 20 ms between them cost 31 us an event, and 26 with
/// what is kept. It is what the largest batch needed. Elsewhere what vectors leave as they grow is
/// better returned: lines took 620 instead of 790 MB for 400,000.
pub fn keep() {
    // SAFETY: sets a number that is read when something is freed; any value that was set is right.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, NEVER) };
    keep_of_libc();
}

/// The same for the C library's, which librdkafka and Python allocate with.
#[cfg(target_env = "gnu")]
fn keep_of_libc() {
    const TRIM_BYTES: libc::c_int = 64 << 20;
    const MAPPED_BYTES: libc::c_int = 4 << 20;
    // SAFETY: as above.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_BYTES);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES);
    }
}

#[cfg(not(target_env = "gnu"))]
fn keep_of_libc() {}
