//! Hypercall numbers, operations and argument structures.
//!
//! [`xen/include/public`, RELEASE-4.17.0](https://xenbits.xen.org/gitweb/?p=xen.git;a=tree;f=xen/include/public;hb=RELEASE-4.17.0):
//! `xen.h`, `arch-x86/xen.h`, `sched.h`, `event_channel.h`, `grant_table.h`, `version.h`.

use core::mem::size_of;

/// `__HYPERVISOR_set_trap_table`.
pub const SET_TRAP_TABLE: u64 = 0;
/// `__HYPERVISOR_mmu_update`.
pub const MMU_UPDATE: u64 = 1;
/// `__HYPERVISOR_update_va_mapping`.
pub const UPDATE_VA_MAPPING: u64 = 14;
/// `__HYPERVISOR_xen_version`.
pub const XEN_VERSION: u64 = 17;
/// `__HYPERVISOR_console_io`.
pub const CONSOLE_IO: u64 = 18;
/// `__HYPERVISOR_grant_table_op`.
pub const GRANT_TABLE_OP: u64 = 20;
/// `__HYPERVISOR_vcpu_op`.
pub const VCPU_OP: u64 = 24;
/// `__HYPERVISOR_mmuext_op`.
pub const MMUEXT_OP: u64 = 26;
/// `__HYPERVISOR_sched_op`.
pub const SCHED_OP: u64 = 29;
/// `__HYPERVISOR_event_channel_op`.
pub const EVENT_CHANNEL_OP: u64 = 32;

/// `DOMID_SELF`.
pub const DOMID_SELF: u16 = 0x7ff0;

/// `FLAT_KERNEL_CS` for 64-bit guests.
pub const FLAT_KERNEL_CS: u16 = 0xe033;

/// `XENVER_version`: returns major << 16 | minor.
pub const XENVER_VERSION: u64 = 0;
/// `XENVER_extraversion`: fills 16 bytes.
pub const XENVER_EXTRAVERSION: u64 = 1;

/// `CONSOLEIO_write`.
pub const CONSOLEIO_WRITE: u64 = 0;

/// `MMUEXT_TLB_FLUSH_LOCAL`.
pub const MMUEXT_TLB_FLUSH_LOCAL: u32 = 6;
/// `UVMF_INVLPG`.
pub const UVMF_INVLPG: u64 = 2;

/// `SCHEDOP_yield`.
pub const SCHEDOP_YIELD: u64 = 0;
/// `SCHEDOP_shutdown`.
pub const SCHEDOP_SHUTDOWN: u64 = 2;
/// `SCHEDOP_poll`.
pub const SCHEDOP_POLL: u64 = 3;

/// `VCPUOP_get_runstate_info`.
pub const VCPUOP_GET_RUNSTATE_INFO: u64 = 4;

/// `EVTCHNOP_bind_interdomain`.
pub const EVTCHNOP_BIND_INTERDOMAIN: u64 = 0;
/// `EVTCHNOP_close`.
pub const EVTCHNOP_CLOSE: u64 = 3;
/// `EVTCHNOP_send`.
pub const EVTCHNOP_SEND: u64 = 4;
/// `EVTCHNOP_alloc_unbound`.
pub const EVTCHNOP_ALLOC_UNBOUND: u64 = 6;

/// `GNTTABOP_setup_table`.
pub const GNTTABOP_SETUP_TABLE: u64 = 2;
/// `GNTTABOP_query_size`.
pub const GNTTABOP_QUERY_SIZE: u64 = 6;

/// `struct trap_info`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct TrapInfo {
    /// Exception vector.
    pub vector: u8,
    /// Bits 0 to 3: privilege level that may raise it; bit 2: events off on entry.
    pub flags: u8,
    /// Code selector of the handler.
    pub cs: u16,
    /// Address of the handler; 0 ends the table.
    pub address: u64,
}

/// `struct mmu_update`.
#[repr(C)]
pub struct MmuUpdate {
    /// Machine address of the page-table entry; its low two bits are the command.
    pub ptr: u64,
    /// The new entry.
    pub val: u64,
}

/// `struct mmuext_op`.
#[repr(C)]
pub struct MmuExtOp {
    /// `MMUEXT_*`.
    pub cmd: u32,
    /// First argument.
    pub arg1: u64,
    /// Second argument.
    pub arg2: u64,
}

/// `struct sched_poll`.
#[repr(C)]
pub struct SchedPoll {
    /// The ports to wait for.
    pub ports: *const u32,
    /// How many.
    pub nr_ports: u32,
    /// Absolute system time in nanoseconds; 0 for none.
    pub timeout: u64,
}

/// `struct vcpu_runstate_info`.
#[repr(C)]
pub struct RunstateInfo {
    /// `RUNSTATE_*`.
    pub state: i32,
    /// When it came to be in that state, in system time.
    pub state_entry_time: u64,
    /// Nanoseconds in each state; the first is running.
    pub time: [u64; 4],
}

/// `struct evtchn_alloc_unbound`.
#[repr(C)]
pub struct EvtchnAllocUnbound {
    /// In: whose channel it is.
    pub dom: u16,
    /// In: who may bind it.
    pub remote_dom: u16,
    /// Out.
    pub port: u32,
}

/// `struct evtchn_bind_interdomain`.
#[repr(C)]
pub struct EvtchnBindInterdomain {
    /// In.
    pub remote_dom: u16,
    /// In.
    pub remote_port: u32,
    /// Out.
    pub local_port: u32,
}

/// `struct gnttab_setup_table`.
#[repr(C)]
pub struct GnttabSetupTable {
    /// In.
    pub dom: u16,
    /// In: frames that the table shall have.
    pub nr_frames: u32,
    /// Out: `GNTST_*`.
    pub status: i16,
    /// Out: their machine frames.
    pub frame_list: *mut u64,
}

/// `struct gnttab_query_size`.
#[repr(C)]
pub struct GnttabQuerySize {
    /// In.
    pub dom: u16,
    /// Out.
    pub nr_frames: u32,
    /// Out.
    pub max_nr_frames: u32,
    /// Out: `GNTST_*`.
    pub status: i16,
}

const _: () = {
    assert!(size_of::<TrapInfo>() == 16);
    assert!(size_of::<MmuUpdate>() == 16);
    assert!(size_of::<MmuExtOp>() == 24);
    assert!(size_of::<SchedPoll>() == 24);
    assert!(size_of::<RunstateInfo>() == 48);
    assert!(size_of::<EvtchnAllocUnbound>() == 8);
    assert!(size_of::<EvtchnBindInterdomain>() == 12);
    assert!(size_of::<GnttabSetupTable>() == 24);
    assert!(size_of::<GnttabQuerySize>() == 16);
};
