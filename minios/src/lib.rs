//! To be written.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod exec;
