//! What goes out: dirty connections, timers, and when to come back.

use super::border::Framed;
use super::core::{Core, SILENT};
use super::entry::{End, NEVER, Owner};
use super::reply::{self, Bare};
use smoltcp::iface::PollResult;
use smoltcp::phy::Device;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpAddress, TcpControl};

/// Frames that one connection may send before the next one has its turn.
const TURN: usize = 16;
/// When to look again at a connection that wants to send and cannot.
const RETRY: Duration = Duration::from_millis(10);
const PROBES: u8 = 4;
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

impl Core {
    /// Polls the connections on the queue. True: the device is full.
    pub(super) fn egress<D: Device>(&mut self, device: &mut D) -> bool {
        for _ in 0..self.dirty.len() {
            let Some(handle) = self.dirty.pop_front() else {
                break;
            };
            let Some(index) = self.conns.resolve(handle) else {
                continue;
            };
            let Some(entry) = self.conns.get_mut(index) else {
                continue;
            };
            if let Some(after) = entry.after.take() {
                entry.deadline = self.now + after;
            }
            if self.send(index, device) {
                self.dirty.push_front(handle);
                return true;
            }
        }
        false
    }

    /// Sends what one connection has to send. True: the device is full, and it stays dirty.
    fn send<D: Device>(&mut self, index: u32, device: &mut D) -> bool {
        let now = self.now;
        let Some(entry) = self.conns.get_mut(index) else {
            return false;
        };
        let mut framed = Framed {
            device,
            caps: &self.caps,
            source: self.who.mac,
            destination: entry.mac,
            refused: false,
        };
        if entry.set.is_none() && (entry.reset || entry.probe) {
            let Some(token) = framed.transmit(now) else {
                return true;
            };
            let flow = &entry.flow;
            let bare = if entry.reset {
                Bare::new(TcpControl::Rst, flow.snd_nxt, Some(flow.rcv_nxt), 0)
            } else {
                let window = self.config.receive_buffer as u16;
                let seq = flow.snd_nxt.wrapping_sub(1);
                Bare::new(TcpControl::None, seq, Some(flow.rcv_nxt), window)
            };
            bare.send(flow, &self.caps.checksum, token);
            (entry.probe, entry.dirty) = (false, false);
            if entry.reset {
                self.stats.resets_sent += 1;
                self.finish(index, End::Reset);
            } else {
                self.arm(index);
            }
            return false;
        }
        let Some(set) = entry.set.as_mut() else {
            entry.dirty = false;
            self.arm(index);
            return false;
        };
        let mut again = true;
        for _ in 0..TURN {
            self.stats.polls += 1;
            if self.interface.poll_egress(now, &mut framed, set) == PollResult::None {
                again = false;
                break;
            }
            if self.interface.poll_at(now, set).is_none_or(|at| at > now) {
                again = false;
                break;
            }
        }
        if framed.refused {
            return true;
        }
        // Still marked, so that settling does not queue it anew: it cannot send more now.
        self.settle(index, false);
        let Some(entry) = self.conns.get_mut(index) else {
            return false;
        };
        entry.dirty = false;
        if again {
            self.mark(index);
        } else if entry.due <= now {
            entry.due = now + RETRY;
            self.arm(index);
        }
        false
    }

    /// Runs the timers that are due.
    pub(super) fn run_timers(&mut self) {
        while let Some((handle, serial)) = self.timers.due(self.now) {
            self.stats.timers += 1;
            if let Some(index) = self.conns.resolve(handle)
                && let Some(entry) = self.conns.get_mut(index)
                && entry.serial == serial
            {
                entry.timer = NEVER;
                self.timer(index);
            }
        }
        while let Some(silent) = self.silent_due() {
            self.stats.evicted_silent += 1;
            self.finish(silent, End::Reset);
        }
    }

    /// A connection that nobody has accepted, silent for too long.
    fn silent_due(&self) -> Option<u32> {
        let front = self.conns.front(SILENT)?;
        let late = self.conns.get(front)?.last + self.config.silent_timeout <= self.now;
        (late && self.config.defer_accept).then_some(front)
    }

    fn timer(&mut self, index: u32) {
        let now = self.now;
        let Some(entry) = self.conns.get_mut(index) else {
            return;
        };
        if entry.deadline <= now {
            entry.deadline = NEVER;
            entry.expired = true;
            self.wakes.extend(entry.reader.take());
            self.wakes.extend(entry.writer.take());
        }
        if let Owner::Orphan(until) = entry.owner
            && until <= now
        {
            entry.reset = true;
            if let Some(socket) = entry.socket() {
                socket.abort();
            }
            self.mark(index);
            return;
        }
        if entry.due <= now {
            self.mark(index);
            return;
        }
        if entry.set.is_some() {
            if entry.last + self.config.sleep_after <= now && entry.is_quiet() && !entry.grow {
                self.sleep(index);
            }
        } else if entry.owner == Owner::Task && self.probe_at(index) <= now {
            let Some(entry) = self.conns.get_mut(index) else {
                return;
            };
            if entry.probes == PROBES {
                self.stats.vanished += 1;
                self.finish(index, End::Reset);
                return;
            }
            entry.probes += 1;
            entry.probe = true;
            self.mark(index);
            return;
        }
        self.arm(index);
    }

    fn probe_at(&self, index: u32) -> Instant {
        self.conns.get(index).map_or(NEVER, |entry| {
            entry.last + self.config.keep_alive + PROBE_INTERVAL * u32::from(entry.probes)
        })
    }

    /// Sets the timer for the next thing that can happen to a connection without a packet.
    pub(super) fn arm(&mut self, index: u32) {
        let probe_at = self.probe_at(index);
        let Some(entry) = self.conns.get_mut(index) else {
            return;
        };
        let mut at = entry.due.min(entry.deadline);
        if let Owner::Orphan(until) = entry.owner {
            at = at.min(until);
        } else if entry.set.is_none() && entry.owner == Owner::Task {
            at = at.min(probe_at);
        } else if entry.set.is_some() && entry.is_quiet() {
            at = at.min((entry.last + self.config.sleep_after).max(self.now + RETRY));
        }
        if at >= entry.timer {
            return;
        }
        entry.timer = at;
        let handle = self.conns.handle(index);
        if self.timers.is_full() {
            let conns = &self.conns;
            self.timers.retain(|handle, serial| {
                let entry = conns.resolve(handle).and_then(|index| conns.get(index));
                entry.is_some_and(|entry| entry.serial == serial)
            });
        }
        let serial = self.timers.arm(at, handle);
        if let Some(entry) = self.conns.get_mut(index) {
            entry.serial = serial;
        }
    }

    /// The next time at which something is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let silent = self
            .conns
            .front(SILENT)
            .filter(|_| self.config.defer_accept);
        let silent = silent.and_then(|index| self.conns.get(index));
        let silent = silent.map(|entry| entry.last + self.config.silent_timeout);
        let reports = Some(self.groups.due).filter(|&due| due != NEVER);
        let address = Some(self.addressing.due).filter(|&due| due != NEVER);
        [self.timers.next(), silent, reports, address]
            .into_iter()
            .flatten()
            .min()
    }

    /// Says to all where our addresses are, and joins the groups that neighbour discovery uses.
    pub(super) fn announce<D: Device>(&mut self, device: &mut D) {
        let mac = self.who.mac;
        for at in 0..self.who.addresses.len() {
            let Some(own) = self.who.addresses[at] else {
                continue;
            };
            match own.cidr.address() {
                IpAddress::Ipv4(address) => {
                    if let Some(token) = device.transmit(self.now) {
                        reply::arp(token, mac, address, None);
                    }
                }
                IpAddress::Ipv6(address) => {
                    self.join(address);
                    // What is still being checked is announced when it is ours alone.
                    if !self.who.in_check.contains(&address)
                        && let Some(token) = device.transmit(self.now)
                    {
                        reply::advertise(token, mac, address, None, true, &self.caps.checksum);
                    }
                }
            }
        }
    }
}
