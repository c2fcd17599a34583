//! The xenstore page: two byte rings and what the server says about itself.
//! [xen/include/public/io/xs_wire.h](https://github.com/xen-project/xen/blob/RELEASE-4.17.0/xen/include/public/io/xs_wire.h)

use core::ops::Range;

/// Requests, to the server.
pub const REQ: Range<usize> = 0..1024;
/// Replies and watch events, to us.
pub const RSP: Range<usize> = 1024..2048;
/// Consumed from [`REQ`].
pub const REQ_CONS: usize = 2048;
/// Produced into [`REQ`].
pub const REQ_PROD: usize = 2052;
/// Consumed from [`RSP`].
pub const RSP_CONS: usize = 2056;
/// Produced into [`RSP`].
pub const RSP_PROD: usize = 2060;
/// What the server can do: [`FEATURE_RECONNECTION`] and others.
pub const SERVER_FEATURES: usize = 2064;
/// [`CONNECTED`] or [`RECONNECT`].
pub const CONNECTION: usize = 2068;
/// Why the server gave up on us, 0 if it did not.
pub const ERROR: usize = 2072;

/// The ring may be reset by a reconnection.
pub const FEATURE_RECONNECTION: u32 = 1;
/// The error field is used.
pub const FEATURE_ERROR: u32 = 2;
/// In use.
pub const CONNECTED: u32 = 0;
/// The guest asks for the rings to be reset.
pub const RECONNECT: u32 = 1;
