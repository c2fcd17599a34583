//! What the whole-system tests share.

pub mod disk;
pub mod net;
pub mod unix;
