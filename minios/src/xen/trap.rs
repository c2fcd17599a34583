//! Exceptions and panics: report, and end the domain.
//!
//! No exception is ever returned from. Xen pushes its frame onto the stack that is in use, without
//! skipping the red zone, so what was interrupted is not whole any more; and nothing in this guest
//! wants to be resumed.
//!
//! There is no stack but that one: a PV guest has no IST. When the stack overflows into its guard,
//! Xen finds no place for the frame and crashes the domain itself, with a line on its own console
//! and none on ours. What comes of it (`on_crash=`) is the same.

use core::arch::global_asm;
use core::fmt::Write;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::early::{self, Early};
use super::hypercall;
use super::shared_info::SharedInfo;
use crate::ShutdownReason;
use crate::abi::hypercall::{FLAT_KERNEL_CS, TrapInfo};

/// What the entry code pushes, lowest address first.
#[repr(C)]
struct Frame {
    registers: [u64; 13],
    vector: u64,
    /// Xen pushes these two on top of the frame of the architecture.
    rcx: u64,
    r11: u64,
    error: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

const REGISTERS: [&str; 13] = [
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r10", "r9", "r8", "rax", "rdx", "rsi", "rdi",
];

// Vectors 8, 10 to 14, 17 and 21 bring an error code.
global_asm!(
    ".pushsection .text.trap, \"ax\", @progbits",
    ".macro trap vector, coded",
    ".p2align 4",
    "trap_\\vector:",
    ".if \\coded",
    "push \\vector",
    ".else",
    // Nothing will be resumed, so what Xen pushed may be popped to make room for a zero.
    "pop rcx",
    "pop r11",
    "push 0",
    "push r11",
    "push rcx",
    "push \\vector",
    ".endif",
    "jmp trap_common",
    ".endm",
    ".irp vector, 0,1,2,3,4,5,6,7,9,15,16,18,19,20",
    "trap \\vector, 0",
    ".endr",
    ".irp vector, 8,10,11,12,13,14,17",
    "trap \\vector, 1",
    ".endr",
    "trap_common:",
    "push rdi",
    "push rsi",
    "push rdx",
    "push rax",
    "push r8",
    "push r9",
    "push r10",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "cld",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {report}",
    "ud2",
    ".globl trap_entries",
    ".p2align 3",
    "trap_entries:",
    ".irp vector, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20",
    ".quad trap_\\vector",
    ".endr",
    ".popsection",
    ".purgem trap",
    report = sym report,
);

const VECTORS: usize = 21;

const NAMES: [&str; VECTORS] = [
    "divide error",
    "debug",
    "NMI",
    "breakpoint",
    "overflow",
    "bound range",
    "invalid opcode",
    "no FPU",
    "double fault",
    "coprocessor overrun",
    "invalid TSS",
    "segment not present",
    "stack fault",
    "general protection",
    "page fault",
    "reserved",
    "FPU error",
    "alignment check",
    "machine check",
    "SIMD error",
    "virtualization",
];

unsafe extern "C" {
    static trap_entries: [u64; VECTORS];
    static __text_start: u8;
    static __text_end: u8;
    static __stack_top: u8;
}

static SHARED_INFO: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());

/// Set while a report is being written: a second failure ends the domain without one.
static REPORTING: AtomicBool = AtomicBool::new(false);

/// Lets Xen deliver exceptions here.
pub(super) fn install() -> Result<(), hypercall::Errno> {
    // SAFETY: the table stands in the assembly above.
    let entries = unsafe { &trap_entries };
    let mut table = [TrapInfo {
        vector: 0,
        flags: 0,
        cs: 0,
        address: 0,
    }; VECTORS + 1];
    for ((vector, entry), info) in (0u8..).zip(entries).zip(&mut table) {
        *info = TrapInfo {
            vector,
            flags: 0,
            cs: FLAT_KERNEL_CS,
            address: *entry,
        };
    }
    // SAFETY: the handlers save what they need and never return.
    unsafe { hypercall::set_trap_table(&table) }
}

/// Tells page-fault reports where to find the faulting address.
pub(super) fn know_shared_info(page: *mut u8) {
    SHARED_INFO.store(page, Ordering::Relaxed);
}

/// The page, once it is mapped.
pub(super) fn shared_info() -> Option<SharedInfo> {
    let page = SHARED_INFO.load(Ordering::Relaxed);
    // SAFETY: `know_shared_info` was given the page that was mapped for ever.
    (!page.is_null()).then(|| unsafe { SharedInfo::new(page) })
}

extern "C" fn report(frame: &Frame) -> ! {
    begin();
    let name = NAMES.get(frame.vector as usize).copied().unwrap_or("?");
    let _ = writeln!(
        Early,
        "\n*** {name} (#{}), error code {:#x}, at {:#x}",
        frame.vector, frame.error, frame.rip
    );
    if frame.vector == 14
        && let Some(shared_info) = shared_info()
    {
        let address = shared_info.fault_address();
        let what = match frame.error & 0b1_0010 {
            0b0_0010 => "write to",
            0b1_0000 => "execution of",
            _ => "read of",
        };
        let why = if frame.error & 1 == 0 {
            "not mapped"
        } else {
            "not permitted"
        };
        let _ = writeln!(Early, "    {what} {address:#x}: {why}");
    }
    let named = REGISTERS
        .iter()
        .copied()
        .zip(frame.registers.iter().copied());
    let rest = [
        ("rcx", frame.rcx),
        ("r11", frame.r11),
        ("rsp", frame.rsp),
        ("rflags", frame.rflags),
        // Above the selector Xen keeps the upcall mask.
        ("cs", frame.cs & 0xffff),
        ("ss", frame.ss),
    ];
    for (index, (name, value)) in named.chain(rest).enumerate() {
        let end = if index % 3 == 2 { "\n" } else { "" };
        let _ = write!(Early, "    {name:>6} {value:016x}{end}");
    }
    let _ = writeln!(Early);
    backtrace(Some(frame.rip), frame.rsp as usize);
    die()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    begin();
    let _ = writeln!(Early, "\n*** {info}");
    let here = 0u8;
    backtrace(None, &raw const here as usize);
    die()
}

fn begin() {
    if REPORTING.swap(true, Ordering::Relaxed) {
        die();
    }
    early::backlog();
}

/// Prints what look like return addresses on the stack, innermost first: words that point into
/// the text right behind a call. There are no frame pointers to follow, so some may be stale.
fn backtrace(rip: Option<u64>, from: usize) {
    let text = &raw const __text_start as usize..&raw const __text_end as usize;
    let top = &raw const __stack_top as usize;
    let _ = write!(Early, "    backtrace:");
    if let Some(rip) = rip {
        let _ = write!(Early, " {rip:#x}");
    }
    let mut found = 0;
    let from = from.next_multiple_of(8);
    if top.saturating_sub(from) > crate::xen::STACK_SIZE {
        let _ = writeln!(Early, " (the stack pointer is astray)");
        return;
    }
    for at in (from..top).step_by(8) {
        // SAFETY: an aligned word of the stack, which is mapped from `from` to its top.
        let word = unsafe { (at as *const usize).read_volatile() };
        if text.start + 8 <= word && word < text.end && after_call(word) {
            let _ = write!(Early, " {word:#x}");
            found += 1;
            if found == 32 {
                break;
            }
        }
    }
    let _ = writeln!(Early, "\n    scripts/symbolize names them");
}

/// Whether the bytes before `address` can be a call instruction.
fn after_call(address: usize) -> bool {
    // SAFETY: the caller made sure that 8 bytes of text lie before it.
    let byte = |back: usize| unsafe { ((address - back) as *const u8).read() };
    // CALL rel32; CALL r/m64 with no, one or four bytes of displacement, and with a SIB byte.
    byte(5) == 0xe8
        || [(2, 1), (3, 2), (4, 3), (6, 5), (7, 6)]
            .into_iter()
            .any(|(opcode, modrm)| byte(opcode) == 0xff && byte(modrm) & 0x38 == 0x10)
}

fn die() -> ! {
    early::flush();
    loop {
        hypercall::sched_shutdown(ShutdownReason::Crash as u32);
    }
}
