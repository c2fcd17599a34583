//! Room: places for connections, memory for sockets, and who has to go.

use super::core::{ASLEEP, AWAKE, Core, SILENT};
use super::entry::{End, NEVER};
use super::forge::Outfit;
use alloc::vec::Vec;
use smoltcp::socket::tcp::State;
use smoltcp::time::Duration;

/// A connection in use for less than this is not dropped for another.
const BUSY: Duration = Duration::from_secs(1);
/// A transfer without a sign of life for so long is dropped if its memory is wanted.
const STALLED: Duration = Duration::from_secs(5);

impl Core {
    /// Makes room for one more connection, if need be by dropping one: the one that has been idle
    /// for longest without ever having said anything, else the one that has been idle for longest.
    pub(super) fn make_room(&mut self) -> bool {
        let wanted = self.conns.slots() + 1;
        let reserved = self.timers.reserve(wanted).is_ok()
            && self
                .dirty
                .try_reserve(wanted.saturating_sub(self.dirty.len()))
                .is_ok()
            && self.backlog.try_reserve(1).is_ok()
            && self
                .starved
                .try_reserve(wanted.saturating_sub(self.starved.len()))
                .is_ok()
            && self.wakes.try_reserve(2 * wanted).is_ok();
        if !reserved {
            self.stats.out_of_memory += 1;
            return false;
        }
        if !self.conns.is_full() {
            return true;
        }
        if let Some(silent) = self.conns.front(SILENT) {
            self.stats.evicted_silent += 1;
            self.finish(silent, End::Reset);
            return true;
        }
        let now = self.now;
        match self.conns.front(ASLEEP).or_else(|| self.conns.front(AWAKE)) {
            Some(idle) if self.conns.get(idle).is_some_and(|e| e.last + BUSY <= now) => {
                self.stats.evicted_idle += 1;
                self.finish(idle, End::Reset);
                true
            }
            _ => false,
        }
    }

    /// Gives the connection a socket with a send buffer of `send` bytes.
    pub(super) fn wake_up(&mut self, index: u32, send: usize) -> bool {
        self.equip(index, send, &[], false)
    }

    /// Exchanges the socket for one with another send buffer, keeping what has arrived. Nothing may
    /// be in flight.
    pub(super) fn grow(&mut self, index: u32, send: usize) -> bool {
        let Some(entry) = self.conns.get_mut(index) else {
            return false;
        };
        let Some(socket) = entry.socket() else {
            return false;
        };
        if socket.send_queue() > 0 {
            return false;
        }
        let fin = match socket.state() {
            State::Established => false,
            State::CloseWait => true,
            _ => return false,
        };
        let mut unread = Vec::new();
        if unread.try_reserve_exact(socket.recv_queue()).is_err() {
            return false;
        }
        unread.resize(socket.recv_queue(), 0);
        let copied = socket.peek_slice(&mut unread).unwrap_or(0);
        unread.truncate(copied);
        let grown = self.equip(index, send, &unread, fin);
        self.stats.grown += u64::from(grown);
        grown
    }

    fn equip(&mut self, index: u32, send: usize, unread: &[u8], fin: bool) -> bool {
        let mut outfit = Outfit {
            receive: self.config.receive_buffer,
            send,
            timeout: self.config.user_timeout,
        };
        // Under pressure a small buffer has to do; a socket has to be had in any case.
        while self.memory + outfit.cost() > self.config.memory * 3 / 4 && outfit.send > 4096 {
            outfit.send = (outfit.send / 2).max(4096);
        }
        // An eighth is kept for reading questions, so that they need not be asked again.
        let limit = match outfit.send {
            0 => self.config.memory,
            _ => self.config.memory / 8 * 7,
        };
        while self.memory + outfit.cost() > limit {
            if !self.reclaim(index) {
                self.stats.out_of_memory += 1;
                return false;
            }
        }
        let Some(entry) = self.conns.get_mut(index) else {
            return false;
        };
        if entry
            .socket()
            .is_some_and(|socket| socket.send_capacity() >= outfit.send)
        {
            return false;
        }
        let Some(set) = self
            .forge
            .build(&entry.flow, &outfit, unread, fin, self.now)
        else {
            self.stats.out_of_memory += 1;
            return false;
        };
        if entry.set.replace(set).is_none() {
            self.awake += 1;
            self.stats.woken += 1;
        }
        self.memory = self.memory - entry.cost + outfit.cost();
        entry.cost = outfit.cost();
        self.conns.shift(index, AWAKE);
        true
    }

    /// Finds memory: puts the longest idle connection to sleep, or drops it if it cannot sleep.
    fn reclaim(&mut self, except: u32) -> bool {
        let mut candidate = self.conns.front(AWAKE);
        for _ in 0..64 {
            let Some(index) = candidate else { return false };
            candidate = self.conns.after(index);
            let Some(entry) = self.conns.get_mut(index) else {
                continue;
            };
            if index == except || entry.set.is_none() {
                continue;
            }
            if entry.is_quiet() {
                self.sleep(index);
                return true;
            }
            if entry.last + STALLED <= self.now {
                self.stats.evicted_idle += 1;
                self.finish(index, End::Reset);
                return true;
            }
        }
        false
    }

    /// Takes its socket away. Nothing may be in flight.
    pub(super) fn sleep(&mut self, index: u32) {
        self.drop_socket(index);
        self.conns.shift(index, ASLEEP);
        self.stats.slept += 1;
    }

    pub(super) fn drop_socket(&mut self, index: u32) {
        if let Some(entry) = self.conns.get_mut(index)
            && entry.set.take().is_some()
        {
            self.memory -= entry.cost;
            entry.cost = 0;
            entry.due = NEVER;
            self.awake -= 1;
            // Memory is free: whoever waits for some may try again.
            while let Some(handle) = self.starved.pop_front() {
                if let Some(index) = self.conns.resolve(handle)
                    && let Some(entry) = self.conns.get_mut(index)
                {
                    entry.starved = false;
                    self.wakes.extend(entry.writer.take());
                    break;
                }
            }
        }
    }

    /// Puts a connection in line for memory.
    pub(super) fn starve(&mut self, index: u32) {
        if let Some(entry) = self.conns.get_mut(index)
            && !entry.starved
        {
            entry.starved = true;
            let handle = self.conns.handle(index);
            if self.starved.len() == self.starved.capacity() {
                let conns = &self.conns;
                self.starved
                    .retain(|&queued| conns.resolve(queued).is_some());
            }
            self.starved.push_back(handle);
        }
    }
}
