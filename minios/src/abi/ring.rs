//! The header of a shared request ring; its slots follow.
//! [xen/include/public/io/ring.h](https://github.com/xen-project/xen/blob/RELEASE-4.17.0/xen/include/public/io/ring.h)

/// Requests produced by the front end.
pub const REQ_PROD: usize = 0;
/// The back end wants an event when [`REQ_PROD`] passes this.
pub const REQ_EVENT: usize = 4;
/// Responses produced by the back end.
pub const RSP_PROD: usize = 8;
/// The front end wants an event when [`RSP_PROD`] passes this.
pub const RSP_EVENT: usize = 12;
/// Where the slots begin.
pub const SLOTS: usize = 64;
