//! A script that a container starts with: `laws.rs` says what has to hold.

#![no_main]

#[path = "../laws.rs"]
#[expect(dead_code, reason = "another target uses the rest")]
mod laws;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Err(laws::Broken(why)) = laws::script(text) {
        panic!("{why}");
    }
});
