//! Fairness between tasks, of which one runs at a time.

use core::future::poll_fn;
use core::task::Poll;

/// Lets every other task that is ready run first.
pub(crate) async fn pass() {
    let mut passed = false;
    poll_fn(|cx| {
        if core::mem::replace(&mut passed, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
