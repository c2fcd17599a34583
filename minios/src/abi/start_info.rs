//! `struct start_info`: what the domain builder tells a PV guest.
//!
//! [`xen/include/public/xen.h`, RELEASE-4.17.0](https://xenbits.xen.org/gitweb/?p=xen.git;a=blob;f=xen/include/public/xen.h;hb=RELEASE-4.17.0)

use core::mem::{offset_of, size_of};

/// Length of the command line's field, its NUL included.
pub const MAX_GUEST_CMDLINE: usize = 1024;

/// The page that RSI points to at entry. Addresses are virtual unless they say otherwise.
#[derive(Clone)]
#[repr(C)]
pub struct StartInfo {
    /// `xen-<version>-<platform>`, NUL-terminated.
    pub magic: [u8; 32],
    /// Pages of this domain.
    pub nr_pages: u64,
    /// Machine address of the shared info page.
    pub shared_info: u64,
    /// `SIF_*`.
    pub flags: u32,
    /// Machine frame of the xenstore ring.
    pub store_mfn: u64,
    /// Event channel of xenstore.
    pub store_evtchn: u32,
    /// Machine frame of the console ring.
    pub console_mfn: u64,
    /// Event channel of the console.
    pub console_evtchn: u32,
    /// The top-level page table.
    pub pt_base: u64,
    /// Bootstrap page-table frames, from `pt_base` on.
    pub nr_pt_frames: u64,
    /// The list of machine frames by pseudo-physical frame.
    pub mfn_list: u64,
    /// A pre-loaded module, unused here.
    pub mod_start: u64,
    /// Its length.
    pub mod_len: u64,
    /// The command line: `extra=` of the domain's configuration.
    pub cmd_line: [u8; MAX_GUEST_CMDLINE],
    /// First frame of the p2m list if it lies outside the initial mapping.
    pub first_p2m_pfn: u64,
    /// Frames of that list.
    pub nr_p2m_frames: u64,
}

const _: () = {
    assert!(offset_of!(StartInfo, nr_pages) == 32);
    assert!(offset_of!(StartInfo, shared_info) == 40);
    assert!(offset_of!(StartInfo, flags) == 48);
    assert!(offset_of!(StartInfo, store_mfn) == 56);
    assert!(offset_of!(StartInfo, store_evtchn) == 64);
    assert!(offset_of!(StartInfo, console_mfn) == 72);
    assert!(offset_of!(StartInfo, console_evtchn) == 80);
    assert!(offset_of!(StartInfo, pt_base) == 88);
    assert!(offset_of!(StartInfo, mfn_list) == 104);
    assert!(offset_of!(StartInfo, cmd_line) == 128);
    assert!(offset_of!(StartInfo, first_p2m_pfn) == 1152);
    assert!(size_of::<StartInfo>() == 1168);
};
