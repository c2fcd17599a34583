//! From Xen's first instruction to the guest's `main`.

use alloc::rc::Rc;
use core::arch::global_asm;
use core::cell::Cell;
use core::fmt::Write;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use super::early::{self, Early};
use super::shared_info::{SharedInfo, now_tsc};
use super::{Inner, Platform, frames, grant, hypercall, paging, trap};
use crate::abi::start_info::StartInfo;
use crate::{Domain, Instant, PAGE_SIZE};

// Entry: RSI points to start_info; Xen's boot stack is left for one with guards.
// The notes are those of xen/include/public/elfnote.h. VIRT_BASE 0: virtual addresses are
// pseudo-physical ones. No HYPERCALL_PAGE: see `hypercall`.
global_asm!(
    ".macro note type, value:vararg",
    ".p2align 2",
    ".long 4, 8, \\type",
    ".asciz \"Xen\"",
    ".quad \\value",
    ".endm",
    ".macro text_note type, text",
    ".p2align 2",
    ".long 4, 8829f - 8828f, \\type",
    ".asciz \"Xen\"",
    "8828: .asciz \"\\text\"",
    "8829:",
    ".p2align 2",
    ".endm",
    ".pushsection .note.Xen, \"a\", @note",
    "text_note 6, \"mir-www\"",
    "text_note 5, \"xen-3.0\"",
    "text_note 8, \"generic\"",
    "note 3, 0",
    "note 1, _start",
    "text_note 9, \"yes\"",
    "text_note 10, \"!writable_page_tables|pae_pgdir_above_4gb\"",
    ".popsection",
    // Where `mir` writes what it linked behind the image: its address, the length of the payload,
    // offset and length of the words.
    ".pushsection .note.mir-www, \"a\", @note",
    ".p2align 2",
    ".long 8, 32, 0x101",
    ".asciz \"mir-www\"",
    ".globl minios_linked",
    "minios_linked: .long 0, 0, 0, 0, 0, 0, 0, 0",
    ".popsection",
    ".pushsection .text.start, \"ax\", @progbits",
    ".globl _start",
    "_start:",
    "cld",
    "lea rsp, [rip + __stack_top]",
    "xor ebp, ebp",
    "mov rdi, rsi",
    "call {start}",
    "ud2",
    ".popsection",
    // All assembly of a program may meet in one file.
    ".purgem note",
    ".purgem text_note",
    start = sym start,
);

unsafe extern "C" {
    static minios_linked: [u32; 8];
    static __image_end: u8;
}

unsafe extern "Rust" {
    safe fn minios_guest_main(boot: Boot) -> !;
}

// Prebuilt core's unwind tables name these two; nothing unwinds here, and nothing calls them.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    panic!("unwinding")
}

/// What the guest's `main` is given.
#[derive(Debug)]
pub struct Boot {
    /// The domain.
    pub domain: Domain,
    /// The command line: `extra=` of the domain's configuration, and what the toolstack adds.
    pub command_line: &'static [u8],
    /// What was linked behind the image, or nothing.
    pub payload: &'static [u8],
    /// A command line that was linked with it, to be read before the domain's own.
    pub built_in: &'static [u8],
    /// Bytes of memory that the domain has.
    pub memory: usize,
    /// Xen's version, as in "4.17.5".
    pub xen_version: alloc::string::String,
    /// Ends of the phases of the boot so far, since the first instruction.
    pub phases: [(&'static str, Instant); 3],
}

extern "C" fn start(start_info: *const StartInfo) -> ! {
    let tsc_start = now_tsc();
    // SAFETY: Xen's ABI: RSI points to start_info, which nothing else touches after boot.
    let start_info = unsafe { &*start_info };
    if !start_info.magic.starts_with(b"xen-3.0-x86_64") {
        fail(format_args!(
            "start_info has a magic of its own: not a 64-bit PV domain?"
        ));
    }
    if let Err(errno) = trap::install() {
        fail(format_args!("Xen refused the trap table: {errno:?}"));
    }
    // SAFETY: machine frames that the toolstack put into start_info are of this machine.
    let ring = |mfn: u64| unsafe { paging::mfn_to_pfn(mfn) } as usize * PAGE_SIZE;
    let console = NonNull::new(ring(start_info.console_mfn) as *mut u8)
        .filter(|_| start_info.console_mfn != 0)
        .map(|at| (at, start_info.console_evtchn));
    if let Some((at, port)) = console {
        // SAFETY: the page is in the builder's mapping, and stays mapped.
        unsafe { early::attach(at.as_ptr(), port) };
    }
    let Some(store) = NonNull::new(ring(start_info.store_mfn) as *mut u8) else {
        fail(format_args!("there is no xenstore page"));
    };

    let linked = Linked::find(start_info.nr_pages as usize * PAGE_SIZE);
    // SAFETY: once, at boot.
    let layout = match unsafe { paging::map_all(start_info, &linked.all()) } {
        Ok(layout) => layout,
        Err(error) => fail(format_args!(
            "the address space could not be made: {error:?}"
        )),
    };
    trap::know_shared_info(layout.shared_info());
    // SAFETY: `map_all` mapped it for ever.
    let shared_info = unsafe { SharedInfo::new(layout.shared_info()) };
    shared_info.mask_all();
    let tsc_mapped = now_tsc();

    for range in layout.free.clone() {
        // SAFETY: mapped, and used by nothing.
        unsafe { frames::add(range.start, range.end) };
    }
    let grants = match grant::Table::new(&layout) {
        Ok(grants) => grants,
        Err(errno) => fail(format_args!("Xen refused the grant table: {errno:?}")),
    };
    let started = shared_info.system_time_at(tsc_start);
    super::STARTED.store(started, Ordering::Relaxed);
    let mut ports = alloc::vec::Vec::new();
    ports.push(start_info.store_evtchn);
    shared_info.unmask(start_info.store_evtchn);
    if let Some((_, port)) = console {
        ports.push(port);
        shared_info.unmask(port);
    }
    let platform = Platform(Rc::new(Inner {
        shared_info,
        layout,
        grants,
        ports: ports.into(),
        started,
        latest: Cell::new(0),
        console,
        store: (store, start_info.store_evtchn),
    }));
    let at = |tsc| Instant::from_nanos(shared_info.system_time_at(tsc).saturating_sub(started));
    let phases = [
        ("entry", Instant::from_nanos(0)),
        ("address space", at(tsc_mapped)),
        ("memory, grants", at(now_tsc())),
    ];
    let end = start_info.cmd_line.iter().position(|byte| *byte == 0);
    minios_guest_main(Boot {
        domain: Domain::new(platform),
        command_line: &start_info.cmd_line[..end.unwrap_or(start_info.cmd_line.len())],
        payload: linked.part(0, linked.payload),
        built_in: linked.part(linked.words.0, linked.words.1),
        memory: start_info.nr_pages as usize * PAGE_SIZE,
        xen_version: xen_version(),
        phases,
    })
}

/// What `mir` linked behind the image, as the image's note has it.
struct Linked {
    /// Its address.
    at: usize,
    /// Bytes of the payload, which comes first.
    payload: usize,
    /// Offset and length of the words.
    words: (usize, usize),
}

impl Linked {
    /// Reads the note. What comes out lies behind the image and in `memory` bytes.
    fn find(memory: usize) -> Self {
        // SAFETY: the symbol stands in the assembly above; volatile, because what the compiler
        // sees there are zeros.
        let note = unsafe { (&raw const minios_linked).read_volatile() };
        let word = |low: u32, high: u32| (u64::from(high) << 32 | u64::from(low)) as usize;
        let found = Self {
            at: word(note[0], note[1]),
            payload: word(note[2], note[3]),
            words: (word(note[4], note[5]), word(note[6], note[7])),
        };
        let image_end = &raw const __image_end as usize;
        if note == [0; 8] {
            return Self {
                at: image_end,
                ..found
            };
        }
        let room = memory.saturating_sub(found.at);
        let (from, length) = found.words;
        let fits = found.payload <= room && from <= room && length <= room - from;
        if found.at < image_end || !found.at.is_multiple_of(PAGE_SIZE) || !fits {
            fail(format_args!(
                "the note says that {} bytes are at {:#x}, and {length} at {from:#x} behind that",
                found.payload, found.at
            ));
        }
        found
    }

    fn all(&self) -> Range<usize> {
        self.at..self.at + self.payload.max(self.words.0 + self.words.1)
    }

    /// Some of the bytes that `find` has checked, once they are mapped.
    fn part(&self, from: usize, length: usize) -> &'static [u8] {
        // SAFETY: `find` checked that they lie in memory behind the image, where the builder put
        // what was linked; `map_all` mapped them read-only, and they stay so.
        unsafe { core::slice::from_raw_parts((self.at + from) as *const u8, length) }
    }
}

fn xen_version() -> alloc::string::String {
    let (major, minor) = hypercall::xen_version();
    let extra = hypercall::xen_extraversion();
    let end = extra
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(extra.len());
    let extra = core::str::from_utf8(&extra[..end]).unwrap_or("");
    alloc::format!("{major}.{minor}{extra}")
}

fn fail(why: core::fmt::Arguments<'_>) -> ! {
    let _ = writeln!(Early, "minios: {why}");
    panic!("boot failed")
}
