//! A program with shared libraries, for containers: it says a word, or loads a library and says what the loader said. Of
//! libraries it needs the C library alone, which guests have.
#![no_std]
#![no_main]

use core::{
    ffi::{CStr, c_char, c_int, c_void},
    panic::PanicInfo,
};

#[link(name = "c")]
unsafe extern "C" {
    fn dlopen(path: *const c_char, how: c_int) -> *mut c_void;
    fn dlerror() -> *const c_char;
    fn puts(text: *const c_char) -> c_int;
}

/// `say TEXT` or `load LIBRARY`.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, arguments: *const *const c_char) -> c_int {
    if count != 3 {
        return 2;
    }
    // SAFETY: the C library passes as many strings as it says.
    unsafe {
        let (word, text) = (*arguments.add(1), *arguments.add(2));
        if CStr::from_ptr(word) != c"load" {
            puts(text);
        } else if dlopen(text, 2).is_null() {
            puts(dlerror());
        }
    }
    0
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
