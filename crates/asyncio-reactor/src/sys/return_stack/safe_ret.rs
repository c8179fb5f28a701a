//! Where a processor remembers to return to, behind a system call under Linux's "Safe RET".
//!
//! A processor predicts where a `ret` goes by a small stack of its own, on which each `call` pushes (AMD's return address stack, of 32 entries; Intel's RSB). On
//! processors with speculative return stack overflow (AMD, Zen 1 to 4), Linux sends each of its own returns through a thunk with a call that is never returned from
//! (Linux's documentation, "Speculative Return Stack Overflow"). So behind a system call hardly anything is left there but entries of the kernel's, and the first function
//! of the program that returns takes one. What follows was measured, and not explained: from then on the kernel is slower, in all of its functions alike, by 12 to 20 % of
//! a receive and a send of 64 bytes, 0.6 µs and more, of which the misprediction itself would be some nanoseconds. A loop by hand that has no function around its calls
//! does not pay for that; a runtime has a dozen.
//!
//! [`refill`] pushes 32 entries of the program's own, by calls that are never returned from either. Functions that return are mispredicted as before, to places of the
//! program, and the kernel is as fast as under the loop by hand. There must be as many as functions return before the next call: behind five, 4 entries did
//! nothing, and 8 all there was to win; of HTTP by hyper, whose futures are deep, 16 entries won half of what 32 do. It helps only where nothing has returned yet: not behind a
//! call by the C library, nor behind one by rustix where somebody has it use that (`use-libc`).
//!
//! It is done where the system says that it has this mitigation, and the processor keeps no stack of returns of which the program must not lose count (CET).
//! `docs/performance.md` has the figures.

#![expect(unsafe_code, reason = "calls that are never returned from, and a question to the processor")]

use std::arch::{asm, global_asm};
use std::fs;
use std::sync::OnceLock;

/// Where Linux says what it does about return stack overflow.
const MITIGATION: &str = "/sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow";

static IS_NEEDED: OnceLock<bool> = OnceLock::new();

/// The name of the routine below. This crate may be in one program twice.
macro_rules! push_entries {
    () => {
        concat!("asyncio_reactor.", env!("CARGO_PKG_VERSION"), ".push_entries")
    };
}

// Each call goes to the instruction behind it and pushes 8 bytes; what all of them have pushed is taken back at the end. It is a routine of its own, since it tells at each of
// its instructions how far down the stack is: whoever walks the stack from a signal handler, as profilers do, may come in between.
global_asm!(
    concat!(".weak ", push_entries!()),
    concat!(".hidden ", push_entries!()),
    concat!(".type ", push_entries!(), ", @function"),
    ".p2align 6",
    concat!(push_entries!(), ":"),
    ".cfi_startproc",
    ".rept 32",
    "call 2f",
    // Nobody comes here but a prediction: it ends here.
    "int3",
    "2:",
    ".cfi_adjust_cfa_offset 8",
    ".endr",
    "add rsp, 32 * 8",
    ".cfi_adjust_cfa_offset -32 * 8",
    "ret",
    ".cfi_endproc",
    concat!(".size ", push_entries!(), ", . - ", push_entries!()),
);

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
    // SAFETY: the routine leaves the stack as it was, and all registers; flags count as touched. An `asm!` without `nostack` may call.
    unsafe { asm!(concat!("call ", push_entries!())) };
}

/// Whether returns are checked against a stack that this program cannot push to by hand. The C library decides that when a program starts, for all of its threads; Rust's own
/// code does not ask for it.
fn has_shadow_stack() -> bool {
    let mut pointer = 0_u64;
    // SAFETY: `rdsspq` reads the pointer of the shadow stack, and does nothing where there is none: then `pointer` stays 0.
    unsafe { asm!("rdsspq {}", inout(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer != 0
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::ptr;

    use asyncio_base::shim::{AtomicBool, AtomicUsize, Ordering};

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
        if has_shadow_stack() {
            return;
        }
        let values: Vec<u32> = (0..100).map(deep).collect();
        assert_eq!(values, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn it_does_what_the_system_asks_for() {
        prepare();
        let is_safe_ret = fs::read_to_string(MITIGATION).is_ok_and(|text| text.contains("Safe RET"));
        assert_eq!(IS_NEEDED.get(), Some(&(is_safe_ret && !has_shadow_stack())));
        refill();
    }

    /// How many instructions were stepped over, and from how many of them a walk of the stack found whoever called the routine.
    static STEPS: AtomicUsize = AtomicUsize::new(0);
    static WALKS: AtomicUsize = AtomicUsize::new(0);
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    /// Of the flags: the next instruction raises `SIGTRAP`.
    const TRAP: i64 = 0x100;

    extern "C" fn on_step(_: libc::c_int, _: *mut libc::siginfo_t, interrupted: *mut libc::c_void) {
        if IS_DONE.load(Ordering::Relaxed) {
            // SAFETY: what was interrupted, which is the handler's to change until it returns.
            let interrupted = unsafe { &mut *interrupted.cast::<libc::ucontext_t>() };
            interrupted.uc_mcontext.gregs[libc::REG_EFL as usize] &= !TRAP;
            return;
        }
        STEPS.fetch_add(1, Ordering::Relaxed);
        let mut is_found = false;
        // SAFETY: no other thread of this program walks its stack by this library meanwhile.
        unsafe {
            backtrace::trace_unsynchronized(|frame| {
                is_found = ptr::eq(frame.symbol_address(), stepped as *const _);
                !is_found
            });
        }
        WALKS.fetch_add(usize::from(is_found), Ordering::Relaxed);
    }

    #[inline(never)]
    fn stepped() {
        // SAFETY: each instruction that follows raises a signal, whose handler is there.
        unsafe { asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq") };
        push_entries();
        IS_DONE.store(true, Ordering::Relaxed);
    }

    /// As from the handler of a profiler, whose signal may come anywhere.
    #[test]
    fn the_stack_can_be_walked_from_each_of_its_instructions() {
        if has_shadow_stack() {
            return;
        }
        // SAFETY: zeros are an action without a mask or flags.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_step as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: the handler touches atomics and walks the stack of a thread that holds no lock; nobody else in this program has one for `SIGTRAP`.
        assert_eq!(unsafe { libc::sigaction(libc::SIGTRAP, &raw const action, ptr::null_mut()) }, 0);
        stepped();
        let (steps, walks) = (STEPS.load(Ordering::Relaxed), WALKS.load(Ordering::Relaxed));
        assert!(steps > 32, "{steps} steps");
        assert_eq!(walks, steps);
    }
}
