//! What the device counts.

/// Counters since the device was connected, and levels at the moment. Cheap to keep: plain
/// additions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames handed to the stack.
    pub rx_frames: u64,
    /// Bytes of these.
    pub rx_bytes: u64,
    /// Of these, the ones that hold many segments.
    pub rx_large: u64,
    /// Packets that the backend gave up.
    pub rx_errors: u64,
    /// Packets too short to be frames.
    pub rx_runts: u64,
    /// TCP and UDP dropped for a wrong checksum, or for being beyond verification (fragments).
    pub rx_bad_checksums: u64,
    /// Frames whose checksum the driver verified, since the backend had not.
    pub rx_verified: u64,
    /// Events sent for posted pages.
    pub rx_notifies: u64,
    /// Frames described to the backend.
    pub tx_frames: u64,
    /// Bytes of these.
    pub tx_bytes: u64,
    /// Of these, the ones that the backend segments.
    pub tx_large: u64,
    /// Of these, the ones that had to be copied, since no pages in a row were free.
    pub tx_copied: u64,
    /// Slots that the backend refused.
    pub tx_errors: u64,
    /// Frames that went nowhere: too long, or written after the device broke or was closed.
    pub tx_dropped: u64,
    /// Times that the stack had to wait for completions.
    pub tx_stalls: u64,
    /// Events sent for frames.
    pub tx_notifies: u64,
    /// Transmit slots in flight now.
    pub tx_in_flight: u32,
    /// Transmit pages free now.
    pub tx_pages_free: u32,
    /// Receive pages that the backend may fill now.
    pub rx_posted: u32,
    /// Times that a [`Lie`](crate::lie::Lie) broke the device: once at most.
    pub broken: u64,
}
