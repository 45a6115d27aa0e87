//! A library that speaks when it is loaded, without any other.
#![no_std]

use core::{arch::asm, panic::PanicInfo};

#[cfg(regular)]
static TEXT: &[u8] = b"regular\n";
#[cfg(not(regular))]
static TEXT: &[u8] = b"escaped\n";

/// What the loader calls.
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    // SAFETY: writes to the standard output what is constant.
    unsafe {
        asm!("syscall", inout("rax") 1_usize => _, in("rdi") 1_usize, in("rsi") TEXT.as_ptr(),
            in("rdx") TEXT.len(), out("rcx") _, out("r11") _);
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
