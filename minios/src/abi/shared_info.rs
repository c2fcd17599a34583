//! `struct shared_info`: the page that Xen and the guest both write. Offsets, not a struct: no
//! Rust reference may ever cover it.
//!
//! [`xen/include/public/xen.h`, RELEASE-4.17.0](https://xenbits.xen.org/gitweb/?p=xen.git;a=blob;f=xen/include/public/xen.h;hb=RELEASE-4.17.0)

/// `vcpu_info[0].evtchn_upcall_pending`, u8.
pub const UPCALL_PENDING: usize = 0;
/// `vcpu_info[0].evtchn_upcall_mask`, u8.
pub const UPCALL_MASK: usize = 1;
/// `vcpu_info[0].evtchn_pending_sel`, u64: which words of [`EVTCHN_PENDING`] to look at.
pub const PENDING_SEL: usize = 8;
/// `vcpu_info[0].arch.cr2`, u64: the address that the last page fault was about.
pub const CR2: usize = 16;
/// `vcpu_info[0].time`, [`time`].
pub const TIME: usize = 32;
/// `evtchn_pending`, 64 words of u64.
pub const EVTCHN_PENDING: usize = 32 * 64;
/// `evtchn_mask`, 64 words of u64.
pub const EVTCHN_MASK: usize = EVTCHN_PENDING + 64 * 8;
/// `wc_version`, u32: even while the wall clock's fields may be read.
pub const WC_VERSION: usize = EVTCHN_MASK + 64 * 8;
/// `wc_sec`, u32: low half of the seconds since 1970 at which the system time was 0.
pub const WC_SEC: usize = WC_VERSION + 4;
/// `wc_nsec`, u32.
pub const WC_NSEC: usize = WC_VERSION + 8;
/// `wc_sec_hi`, u32.
pub const WC_SEC_HI: usize = WC_VERSION + 12;

/// Event channels of the 2-level ABI.
pub const EVENT_CHANNELS: u32 = 64 * 64;

/// Offsets in `struct vcpu_time_info`.
pub mod time {
    /// u32: odd while Xen is updating.
    pub const VERSION: usize = 0;
    /// u64: the TSC at the last update.
    pub const TSC_TIMESTAMP: usize = 8;
    /// u64: nanoseconds since Xen booted, at the last update.
    pub const SYSTEM_TIME: usize = 16;
    /// u32: 32.32 fixed-point factor from shifted TSC ticks to nanoseconds.
    pub const TSC_TO_SYSTEM_MUL: usize = 24;
    /// i8: shift of TSC ticks before the multiplication.
    pub const TSC_SHIFT: usize = 28;
}

const _: () = {
    assert!(EVTCHN_PENDING == 0x800);
    assert!(EVTCHN_MASK == 0xa00);
    assert!(WC_VERSION == 0xc00);
};
