//! Grant table entries, version 1.
//! [xen/include/public/grant_table.h](https://github.com/xen-project/xen/blob/RELEASE-4.17.0/xen/include/public/grant_table.h)

/// Bytes in an entry.
pub const ENTRY: usize = 8;
/// Flags, 16 bits.
pub const FLAGS: usize = 0;
/// Who may use it, 16 bits.
pub const DOMID: usize = 2;
/// The frame's machine number, 32 bits.
pub const FRAME: usize = 4;

/// Entries below this are the toolstack's.
pub const RESERVED: u32 = 8;
/// The console page's.
pub const RESERVED_CONSOLE: u32 = 0;
/// The xenstore page's.
pub const RESERVED_XENSTORE: u32 = 1;

/// The frame may be mapped or copied.
pub const GTF_PERMIT_ACCESS: u16 = 1;
/// For reading only.
pub const GTF_READONLY: u16 = 1 << 2;
/// It is mapped for reading. Set by Xen.
pub const GTF_READING: u16 = 1 << 3;
/// It is mapped for writing. Set by Xen.
pub const GTF_WRITING: u16 = 1 << 4;
