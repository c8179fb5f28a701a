//! A system call by the C library.

#![expect(unsafe_code, reason = "a system call of any number")]

use std::io;

/// Makes a system call with six arguments, of which it may ignore the last ones.
///
/// # Safety
///
/// As the call asks for; and it returns once, on this stack.
#[inline]
pub(crate) unsafe fn six(number: libc::c_long, arguments: [usize; 6]) -> io::Result<usize> {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    // SAFETY: the caller keeps the laws of the call.
    let given = unsafe { libc::syscall(number, first, second, third, fourth, fifth, sixth) };
    usize::try_from(given).map_err(|_| io::Error::last_os_error())
}
