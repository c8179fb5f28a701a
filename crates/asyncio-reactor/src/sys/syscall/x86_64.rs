//! A system call without a function around it that returns (`return_stack` says what that costs): syscall(2), "Architecture calling conventions".

#![expect(unsafe_code, reason = "a system call of any number")]

use std::arch::asm;
use std::io;

use crate::sys::return_stack;

/// Makes a system call with six arguments, of which it may ignore the last ones.
///
/// # Safety
///
/// As the call asks for; and it returns once, on this stack.
#[inline(always)]
pub(crate) unsafe fn six(number: libc::c_long, arguments: [usize; 6]) -> io::Result<usize> {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    let given: isize;
    // SAFETY: the caller keeps the laws of the call; the kernel gives back all registers but these, and leaves the stack alone.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => given,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            in("r8") fifth,
            in("r9") sixth,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, preserves_flags)
        );
    }
    return_stack::refill();
    // -4095 to -1 is an error number.
    usize::try_from(given).map_err(|_| io::Error::from_raw_os_error(-given as i32))
}
