//! Failures on purpose, so that a test sees what they look like on the console.

use core::arch::asm;
use core::hint::black_box;

unsafe extern "C" {
    static __text_start: u8;
    static __rodata_start: u8;
}

/// Ways to end the domain badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Reads address 8.
    ReadNull,
    /// Writes to code.
    WriteText,
    /// Writes to a constant.
    WriteConstant,
    /// Jumps into the heap.
    ExecuteHeap,
    /// An instruction that is none.
    UndefinedInstruction,
    /// A non-canonical address.
    GeneralProtection,
    /// Recurses for ever.
    StackOverflow,
    /// Allocates for ever, where failing is not an option.
    OutOfMemory,
    /// A Rust panic.
    Panic,
}

impl Failure {
    /// All, with a name for each.
    pub const ALL: [(&'static str, Failure); 9] = [
        ("read-null", Failure::ReadNull),
        ("write-text", Failure::WriteText),
        ("write-constant", Failure::WriteConstant),
        ("execute-heap", Failure::ExecuteHeap),
        ("undefined-instruction", Failure::UndefinedInstruction),
        ("general-protection", Failure::GeneralProtection),
        ("stack-overflow", Failure::StackOverflow),
        ("out-of-memory", Failure::OutOfMemory),
        ("panic", Failure::Panic),
    ];

    /// Fails in that way. What must not be possible is reported by coming back.
    pub fn provoke(self) {
        match self {
            // SAFETY: here and below, each of these traps, and traps end the domain. Should one not
            // trap, it has changed a byte that nothing reads before the caller reports it.
            Failure::ReadNull => unsafe { asm!("mov {0}, [{0}]", inout(reg) 8usize => _) },
            // SAFETY: see above.
            Failure::WriteText => unsafe {
                asm!("mov byte ptr [{}], 0", in(reg) &raw const __text_start);
            },
            // SAFETY: see above.
            Failure::WriteConstant => unsafe {
                asm!("mov byte ptr [{}], 0", in(reg) &raw const __rodata_start);
            },
            Failure::ExecuteHeap => {
                let ret = alloc::vec![0xc3u8; 16];
                // SAFETY: see above; what is called would return.
                unsafe { asm!("call {}", in(reg) ret.as_ptr(), clobber_abi("C")) };
            }
            // SAFETY: see above.
            Failure::UndefinedInstruction => unsafe { asm!("ud2") },
            // SAFETY: see above.
            Failure::GeneralProtection => unsafe {
                asm!("mov {0}, [{0}]", inout(reg) 0x8000_0000_0000_0000usize => _);
            },
            Failure::StackOverflow => drop(black_box(recurse(1))),
            Failure::OutOfMemory => {
                let mut kept = alloc::vec::Vec::new();
                loop {
                    kept.push(alloc::vec![1u8; 1 << 16]);
                    black_box(&kept);
                }
            }
            Failure::Panic => panic!("on purpose"),
        }
    }
}

#[allow(unconditional_recursion, reason = "that is the point")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    frame[(depth % 64) as usize] + recurse(black_box(depth + 1)) + frame[1]
}
