//! Where a processor remembers to return to, behind a system call under Linux's "Safe RET".
//!
//! A processor predicts where a `ret` goes by a small stack of its own, on which each `call` pushes (AMD's return address stack, of 32 entries; Intel's RSB). Where
//! it is exposed to speculative return stack overflow (AMD, Zen 1 to 4), Linux sends each of its own returns through a thunk with a call that is never returned from
//! (Linux's documentation, "Speculative Return Stack Overflow"). So behind a system call nothing is left there but entries of the kernel's, and the first function of the program that returns
//! takes one. What follows was measured, and not explained: from then on the kernel is slower, in all of its functions alike, by 12 to 20 % of a receive and a send of 64 bytes,
//! 0.6 µs and more, of which the misprediction itself would be some nanoseconds. A loop by hand that has no function around its calls does not pay for that; a runtime has a dozen.
//!
//! [`refill`] pushes 32 entries of the program's own, by calls that are never returned from either; they cost about 10 ns. Functions that return are mispredicted as before, to places of the program,
//! and the kernel is as fast as under the loop by hand. There must be as many as functions return before the next call: behind five, 4 entries did nothing, and 8 all there was to win; of HTTP by
//! hyper, whose futures are deep, 16 entries won half of what 32 do.
//!
//! It is done where the system says that it has this mitigation, and the processor keeps no stack of returns of which the program must not lose count (CET). `docs/performance.md` has the figures.

#![expect(unsafe_code, reason = "a few calls without returns, and a question to the processor")]

use std::arch::asm;
use std::fs;
use std::sync::OnceLock;

/// Where Linux says what it does about it.
const MITIGATION: &str = "/sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow";

static IS_NEEDED: OnceLock<bool> = OnceLock::new();

/// Finds out, once in a process, whether [`refill`] has something to do. Until then it has not.
pub(crate) fn prepare() {
    IS_NEEDED.get_or_init(|| {
        let is_safe_ret = fs::read_to_string(MITIGATION).is_ok_and(|text| text.contains("Safe RET"));
        is_safe_ret && !has_shadow_stack()
    });
}

/// To be called behind a system call, before the function around it returns.
#[inline(always)]
pub(crate) fn refill() {
    if IS_NEEDED.get() == Some(&true) {
        push_entries();
    }
}

#[inline(always)]
fn push_entries() {
    // SAFETY: each call goes to the instruction behind it and pushes 8 bytes; what all of them have pushed is taken back at the end. An `asm!` without `nostack` may use the
    // stack below its pointer. No register but that one is touched, and the flags, which count as touched.
    unsafe {
        asm!(
            ".rept 32",
            "call 2f",
            // Nobody comes here but a prediction: it ends here.
            "int3",
            "2:",
            ".endr",
            "add rsp, 32 * 8",
        );
    }
}

/// Whether returns are checked against a stack that this program cannot push to by hand. (Rust's are not; the C library decides when it starts.)
fn has_shadow_stack() -> bool {
    let mut pointer = 0_u64;
    // SAFETY: `rdsspq` reads the pointer of the shadow stack, and does nothing where there is none: then `pointer` stays 0.
    unsafe { asm!("rdsspq {}", inout(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer != 0
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[inline(never)]
    fn deep(levels: u32) -> u32 {
        if levels == 0 {
            push_entries();
            return 0;
        }
        std::hint::black_box(deep(levels - 1)) + 1
    }

    /// More levels than the processor remembers, and values that live across it.
    #[test]
    fn every_function_returns_to_its_caller() {
        let values: Vec<u32> = (0..100).map(deep).collect();
        assert_eq!(values, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_unwinds_through_it() {
        let unwound = std::panic::catch_unwind(|| {
            push_entries();
            std::panic::resume_unwind(Box::new(deep(40)));
        });
        assert_eq!(*unwound.unwrap_err().downcast::<u32>().unwrap(), 40);
    }

    #[test]
    fn it_does_what_the_system_asks_for() {
        prepare();
        let is_safe_ret = fs::read_to_string(MITIGATION).is_ok_and(|text| text.contains("Safe RET"));
        assert_eq!(IS_NEEDED.get(), Some(&(is_safe_ret && !has_shadow_stack())));
        refill();
    }
}
