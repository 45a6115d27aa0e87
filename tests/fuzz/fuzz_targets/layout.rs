//! An OCI layout, in the notation of `images.rs`: `images.rs` says what has to hold.

#![no_main]

#[path = "../laws.rs"]
#[expect(dead_code, reason = "another target uses the rest")]
mod laws;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(laws::Broken(why)) = laws::images::layout(bytes) {
        panic!("{why}");
    }
});
