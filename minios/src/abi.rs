//! Xen's layouts and numbers, as byte offsets and ranges, each with a link to its public header.
//!
//! Both ends of a wire use the same names.

pub mod console;
pub mod grant;
#[cfg(feature = "xen")]
pub mod hypercall;
pub mod ring;
#[cfg(feature = "xen")]
pub mod shared_info;
#[cfg(feature = "xen")]
pub mod start_info;
pub mod xenstore;
