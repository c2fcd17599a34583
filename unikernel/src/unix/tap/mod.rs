//! Our own TCP/IP stack on a tap device.

mod address;
mod capture;
mod device;
mod header;
mod stack;

pub(crate) use stack::Direct;
