//! Xen's layouts and numbers, as byte offsets and ranges, each with a link to its public header.
//!
//! Both ends of a wire use the same names.

pub mod console;
pub mod grant;
pub mod ring;
pub mod xenstore;
