//! Hypercalls: one instruction each, and the operations that this guest uses.
//!
//! A PV guest's hypercall is a `syscall` instruction: number in RAX, arguments in RDI, RSI, RDX,
//! R10, R8; the result in RAX. The instruction destroys RCX and R11, and Xen may destroy the
//! argument registers. Nothing is pushed on our stack, so `nostack` is true even for leaf
//! functions with a red zone. The hypercall page would do the same behind a `call`, which would
//! write into that red zone.

use core::arch::asm;

use crate::abi::hypercall as abi;

/// A negative errno of Xen's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Errno(pub(super) i64);

fn result(rax: i64) -> Result<u64, Errno> {
    u64::try_from(rax).map_err(|_| Errno(rax))
}

/// # Safety
/// As the operation asks: Xen reads and writes what the arguments point to.
unsafe fn call(number: u64, a1: u64, a2: u64, a3: u64, a4: u64) -> Result<u64, Errno> {
    let rax: i64;
    // SAFETY: all registers that `syscall` and Xen may change are outputs or clobbers; memory is
    // not declared untouched; what Xen does with it is the caller's obligation.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as i64 => rax,
            inlateout("rdi") a1 => _,
            inlateout("rsi") a2 => _,
            inlateout("rdx") a3 => _,
            inlateout("r10") a4 => _,
            lateout("r8") _,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result(rax)
}

/// Installs exception handlers. The table ends with an entry whose address is 0.
///
/// # Safety
/// Every handler must be code that may run at any instruction of the guest.
pub(super) unsafe fn set_trap_table(table: &[abi::TrapInfo]) -> Result<(), Errno> {
    debug_assert!(table.last().is_some_and(|last| last.address == 0));
    // SAFETY: Xen reads the table up to its end; the handlers are the caller's obligation.
    unsafe { call(abi::SET_TRAP_TABLE, table.as_ptr() as u64, 0, 0, 0) }.map(drop)
}

/// Changes page-table entries.
///
/// # Safety
/// No memory that Rust code relies on may lose its mapping or become aliased.
pub(super) unsafe fn mmu_update(updates: &[abi::MmuUpdate]) -> Result<(), Errno> {
    let (at, count) = (updates.as_ptr() as u64, updates.len() as u64);
    // SAFETY: Xen reads `count` updates; their effect is the caller's obligation.
    unsafe { call(abi::MMU_UPDATE, at, count, 0, u64::from(abi::DOMID_SELF)) }.map(drop)
}

/// Sets the leaf entry that maps `address`, and flushes that address from the TLB.
///
/// # Safety
/// As [`mmu_update`].
pub(super) unsafe fn update_va_mapping(address: usize, entry: u64) -> Result<(), Errno> {
    let address = address as u64;
    // SAFETY: takes values only; the effect is the caller's obligation.
    unsafe { call(abi::UPDATE_VA_MAPPING, address, entry, abi::UVMF_INVLPG, 0) }.map(drop)
}

/// Flushes this vCPU's TLB.
pub(super) fn flush_tlb() {
    let op = abi::MmuExtOp {
        cmd: abi::MMUEXT_TLB_FLUSH_LOCAL,
        arg1: 0,
        arg2: 0,
    };
    let at = &raw const op as u64;
    // SAFETY: Xen reads one operation; a flush changes no memory.
    // It cannot fail for a guest's own vCPU; stale entries would only be stricter or looser
    // permissions for the same frames.
    let _ = unsafe { call(abi::MMUEXT_OP, at, 1, 0, u64::from(abi::DOMID_SELF)) };
}

/// Xen's version as (major, minor).
pub(super) fn xen_version() -> (u16, u16) {
    // SAFETY: XENVER_version takes no pointer.
    let version = unsafe { call(abi::XEN_VERSION, abi::XENVER_VERSION, 0, 0, 0) }.unwrap_or(0);
    ((version >> 16) as u16, version as u16)
}

/// Xen's extra version, such as `.5`, NUL-padded.
pub(super) fn xen_extraversion() -> [u8; 16] {
    let mut text = [0; 16];
    let at = text.as_mut_ptr() as u64;
    // SAFETY: XENVER_extraversion writes the 16 bytes that `text` has.
    let _ = unsafe { call(abi::XEN_VERSION, abi::XENVER_EXTRAVERSION, at, 0, 0) };
    text
}

/// Writes to Xen's own console. Release builds of Xen drop it for ordinary domains.
pub(super) fn console_write(text: &[u8]) {
    let (length, at) = (text.len() as u64, text.as_ptr() as u64);
    // SAFETY: Xen reads `length` bytes.
    let _ = unsafe { call(abi::CONSOLE_IO, abi::CONSOLEIO_WRITE, length, at, 0) };
}

/// Nanoseconds for which vCPU 0 has run.
pub(super) fn running_time() -> u64 {
    let mut info = abi::RunstateInfo {
        state: 0,
        state_entry_time: 0,
        time: [0; 4],
    };
    let at = &raw mut info as u64;
    // SAFETY: Xen writes the one structure.
    let _ = unsafe { call(abi::VCPU_OP, abi::VCPUOP_GET_RUNSTATE_INFO, 0, at, 0) };
    info.time[0]
}

/// Gives the processor away for a moment.
pub(super) fn sched_yield() {
    // SAFETY: SCHEDOP_yield takes no pointer.
    let _ = unsafe { call(abi::SCHED_OP, abi::SCHEDOP_YIELD, 0, 0, 0) };
}

/// Sleeps until one of `ports` is pending or the system time reaches `timeout` ns (0: never).
pub(super) fn sched_poll(ports: &[u32], timeout: u64) -> Result<(), Errno> {
    let poll = abi::SchedPoll {
        ports: ports.as_ptr(),
        nr_ports: ports.len() as u32,
        timeout,
    };
    // SAFETY: Xen reads the structure and `nr_ports` ports.
    unsafe {
        call(
            abi::SCHED_OP,
            abi::SCHEDOP_POLL,
            &raw const poll as u64,
            0,
            0,
        )
    }
    .map(drop)
}

/// Ends the domain with a reason of `sched.h`. Comes back only if Xen refuses.
pub(super) fn sched_shutdown(reason: u32) {
    // SAFETY: Xen reads one u32.
    let _ = unsafe {
        call(
            abi::SCHED_OP,
            abi::SCHEDOP_SHUTDOWN,
            &raw const reason as u64,
            0,
            0,
        )
    };
}

/// Makes an event channel that `peer` may bind.
pub(super) fn evtchn_alloc_unbound(peer: u16) -> Result<u32, Errno> {
    let mut op = abi::EvtchnAllocUnbound {
        dom: abi::DOMID_SELF,
        remote_dom: peer,
        port: 0,
    };
    let at = &raw mut op as u64;
    // SAFETY: Xen reads and writes the one structure.
    unsafe { call(abi::EVENT_CHANNEL_OP, abi::EVTCHNOP_ALLOC_UNBOUND, at, 0, 0) }?;
    Ok(op.port)
}

/// Binds a channel that `peer` offers.
pub(super) fn evtchn_bind_interdomain(peer: u16, remote_port: u32) -> Result<u32, Errno> {
    let mut op = abi::EvtchnBindInterdomain {
        remote_dom: peer,
        remote_port,
        local_port: 0,
    };
    let at = &raw mut op as u64;
    // SAFETY: Xen reads and writes the one structure.
    unsafe {
        call(
            abi::EVENT_CHANNEL_OP,
            abi::EVTCHNOP_BIND_INTERDOMAIN,
            at,
            0,
            0,
        )
    }?;
    Ok(op.local_port)
}

/// Closes a channel.
pub(super) fn evtchn_close(port: u32) -> Result<(), Errno> {
    let at = &raw const port as u64;
    // SAFETY: `struct evtchn_close` is one u32, which Xen reads.
    unsafe { call(abi::EVENT_CHANNEL_OP, abi::EVTCHNOP_CLOSE, at, 0, 0) }.map(drop)
}

/// Notifies the other end of a channel.
pub(super) fn evtchn_send(port: u32) -> Result<(), Errno> {
    let at = &raw const port as u64;
    // SAFETY: `struct evtchn_send` is one u32, which Xen reads.
    unsafe { call(abi::EVENT_CHANNEL_OP, abi::EVTCHNOP_SEND, at, 0, 0) }.map(drop)
}

/// Grows the grant table to `frames.len()` frames and says where they are.
pub(super) fn gnttab_setup_table(frames: &mut [u64]) -> Result<(), Errno> {
    let mut op = abi::GnttabSetupTable {
        dom: abi::DOMID_SELF,
        nr_frames: frames.len() as u32,
        status: 0,
        frame_list: frames.as_mut_ptr(),
    };
    let at = &raw mut op as u64;
    // SAFETY: Xen reads and writes the structure and writes `nr_frames` frame numbers.
    unsafe { call(abi::GRANT_TABLE_OP, abi::GNTTABOP_SETUP_TABLE, at, 1, 0) }?;
    if op.status == 0 {
        Ok(())
    } else {
        Err(Errno(i64::from(op.status)))
    }
}

/// The most frames that the grant table may have.
pub(super) fn gnttab_max_frames() -> Result<u32, Errno> {
    let mut op = abi::GnttabQuerySize {
        dom: abi::DOMID_SELF,
        nr_frames: 0,
        max_nr_frames: 0,
        status: 0,
    };
    let at = &raw mut op as u64;
    // SAFETY: Xen reads and writes the one structure.
    unsafe { call(abi::GRANT_TABLE_OP, abi::GNTTABOP_QUERY_SIZE, at, 1, 0) }?;
    if op.status == 0 {
        Ok(op.max_nr_frames)
    } else {
        Err(Errno(i64::from(op.status)))
    }
}
