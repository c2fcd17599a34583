//! What the whole-system tests share.

pub mod net;
pub mod unix;
