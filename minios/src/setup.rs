//! What can be wanting when a device is made.

use core::fmt;

use crate::ring::Broken;
use crate::{EventError, OutOfMemory, ShareError};

/// Why a device could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupError {
    /// There is not enough memory.
    OutOfMemory,
    /// There are not enough grants.
    NoGrants,
    /// There is no port.
    Port(EventError),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetupError::OutOfMemory => f.write_str("out of memory"),
            SetupError::NoGrants => f.write_str("the grant table is full"),
            SetupError::Port(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SetupError {}

impl From<OutOfMemory> for SetupError {
    fn from(_: OutOfMemory) -> Self {
        SetupError::OutOfMemory
    }
}

impl From<ShareError> for SetupError {
    fn from(error: ShareError) -> Self {
        match error {
            ShareError::NoGrants => SetupError::NoGrants,
            ShareError::OutOfMemory => SetupError::OutOfMemory,
        }
    }
}

impl From<EventError> for SetupError {
    fn from(error: EventError) -> Self {
        SetupError::Port(error)
    }
}

impl From<Broken> for SetupError {
    fn from(_: Broken) -> Self {
        // Pages of our own that are too small for a ring: there are none.
        SetupError::OutOfMemory
    }
}
