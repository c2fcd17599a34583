//! The rings.
use super::connection::Connection;
use core::task::{Context, Poll};
/// The rings and the port of a connection.
pub struct Wire;
impl Wire {
    pub(super) fn poll_event(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
    pub(super) fn exchange(&self, _c: &mut Connection) -> bool {
        false
    }
}
