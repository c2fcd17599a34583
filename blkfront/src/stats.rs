//! What the device counts.

/// Counters since the device was connected, and levels at the moment. Cheap to keep: plain
/// additions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests put on the ring.
    pub requests: u64,
    /// Of these, the ones whose segments lay in a page of their own.
    pub indirect: u64,
    /// Bytes that the backend has read for us.
    pub bytes_read: u64,
    /// Bytes that the backend has written for us.
    pub bytes_written: u64,
    /// Requests that the backend could not do.
    pub errors: u64,
    /// Requests that the backend did not know how to do.
    pub unsupported: u64,
    /// Requests whose responses came when nobody waited any more.
    pub abandoned: u64,
    /// Batches of requests shown to the backend.
    pub batches: u64,
    /// Events sent for these: those that the backend asked for.
    pub notifies: u64,
    /// Calls that could not be put on the ring whole at once, for want of pages or slots.
    pub waits: u64,
    /// Requests in flight now.
    pub in_flight: u32,
    /// Pages of the pool that are free now.
    pub pages_free: u32,
    /// Calls that wait for pages or slots now.
    pub waiting: u32,
    /// Times that the device's size changed.
    pub resizes: u64,
    /// Times that a [`Lie`](crate::lie::Lie) broke the device: once at most.
    pub broken: u64,
}
