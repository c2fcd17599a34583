//! What the loop does for a TCP/IP stack, be it the system's or our own.

use std::error::Error;
use std::time::Duration;

use mio::event::Event;
use www::Stack;

/// Tokens below this are the loop's own.
pub(crate) const FIRST_TOKEN: usize = 1;

/// A stack that the loop drives. Clones are the same one.
pub(crate) trait Driven: Stack + Clone + 'static {
    /// How often tasks and the stack may have their turns before epoll is asked, if they want them.
    const ROUNDS: u32;

    /// Does what is to be done now. True: at once again. What it fails with is the end.
    fn turn(&self) -> Result<bool, Box<dyn Error>> {
        Ok(false)
    }

    /// Called once a turn: how many who only wait should go, so that others find room.
    fn wants_room(&self) -> u32;

    /// Some of them went.
    fn made_room(&self) {}

    /// The loop is about to wait: how long nothing happens by itself.
    fn quiet_for(&self) -> Option<Duration>;

    /// A new turn begins: the clock has been read.
    fn tick(&self) {}

    /// Takes note of what epoll says.
    fn event(&self, event: &Event);

    /// Takes no more connections, if it can.
    fn stop_listening(&self) {}

    /// How people name where it serves, if that is news.
    fn urls(&self) -> Option<Vec<String>>;

    /// Says in the log what it has counted.
    fn report(&self) {}
}
