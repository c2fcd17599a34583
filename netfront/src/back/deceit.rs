//! Lies on demand.

use minios::abi::ring::RSP_PROD;

use super::{Back, Fatal};
use crate::wire::{
    Extra, ExtraKind, GsoType, RX_SLOT, RxFlags, RxResponse, STATUS_NULL, STATUS_OKAY, TX_SLOT,
    TxResponse,
};

/// Something that a backend must not do. What concerns a ring needs a request on it that is not
/// answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deceit {
    /// So many more transmit responses than there are.
    TxIndex(u32),
    /// So many more receive responses than there are.
    RxIndex(u32),
    /// A response to a transmit request of this id.
    TxId(u16),
    /// A response to an extra transmit slot.
    TxNull,
    /// A receive response that says a slot so much further on.
    RxId(u16),
    /// Received data of this offset and size.
    RxSize(u16, i16),
    /// A packet that goes on through so many slots, and further.
    RxEndless(usize),
    /// Extra information of this type after a received slot.
    RxExtra(u8),
    /// Extra information that is always followed by more, so many times.
    RxExtras(usize),
    /// Segmentation of this type and size, received.
    RxGso(u8, u16),
}

impl Back {
    /// Does it, and raises all events.
    pub fn deceive(&mut self, deceit: Deceit) {
        if let Err(fatal) = self.try_deceive(deceit) {
            self.fatal = Some(fatal);
        }
        self.notify_tx();
        self.notify_rx();
    }

    fn try_deceive(&mut self, deceit: Deceit) -> Result<(), Fatal> {
        let none = RxFlags::empty();
        match deceit {
            Deceit::TxIndex(ahead) => {
                let memory = self.out.ring.memory();
                let now = memory
                    .load_u32(RSP_PROD)
                    .map_err(minios::ring::Broken::Memory)?;
                let lie = memory.store_u32(RSP_PROD, now.wrapping_add(ahead));
                return Ok(lie.map_err(minios::ring::Broken::Memory)?);
            }
            Deceit::RxIndex(ahead) => {
                let memory = self.inn.ring.memory();
                let now = memory
                    .load_u32(RSP_PROD)
                    .map_err(minios::ring::Broken::Memory)?;
                let lie = memory.store_u32(RSP_PROD, now.wrapping_add(ahead));
                return Ok(lie.map_err(minios::ring::Broken::Memory)?);
            }
            Deceit::TxId(id) => {
                let status = STATUS_OKAY;
                self.raw_tx(&TxResponse { id, status }.encode())?;
            }
            Deceit::TxNull => {
                let status = STATUS_NULL;
                self.raw_tx(&TxResponse { id: 0, status }.encode())?;
            }
            Deceit::RxId(further) => {
                self.raw_rx(|id| response(id.wrapping_add(further), 0, none, 60))?
            }
            Deceit::RxSize(offset, size) => self.raw_rx(|id| response(id, offset, none, size))?,
            Deceit::RxEndless(slots) => {
                for _ in 0..slots {
                    self.raw_rx(|id| response(id, 0, RxFlags::MORE_DATA, 60))?;
                }
            }
            Deceit::RxExtra(number) => {
                self.raw_rx(|id| response(id, 0, RxFlags::EXTRA_INFO, 60))?;
                self.raw_rx(|_| [number, 0, 0, 0, 0, 0, 0, 0])?;
            }
            Deceit::RxExtras(count) => {
                self.raw_rx(|id| response(id, 0, RxFlags::EXTRA_INFO, 60))?;
                let extra = Extra {
                    more: true,
                    kind: ExtraKind::Other(2),
                };
                for _ in 0..count {
                    self.raw_rx(|_| extra.encode())?;
                }
            }
            Deceit::RxGso(number, size) => {
                self.raw_rx(|id| response(id, 0, RxFlags::EXTRA_INFO, 60))?;
                let gso = match number {
                    1 => Ok(GsoType::TcpV4),
                    2 => Ok(GsoType::TcpV6),
                    number => Err(number),
                };
                let kind = ExtraKind::Gso { gso, size };
                self.raw_rx(|_| Extra { more: false, kind }.encode())?;
            }
        }
        self.out.publish()?;
        self.inn.publish()?;
        Ok(())
    }

    /// Answers a transmit request with these bytes.
    pub fn raw_tx(&mut self, slot: &[u8; TX_SLOT]) -> Result<(), Fatal> {
        self.out.respond(slot)
    }

    /// Answers a posted page, of this id, with these bytes; published with whatever comes next.
    pub fn raw_rx(&mut self, slot: impl FnOnce(u16) -> [u8; RX_SLOT]) -> Result<(), Fatal> {
        let (_, request) = self.inn.next()?;
        self.inn.respond(&slot(request.id))
    }
}

fn response(id: u16, offset: u16, flags: RxFlags, status: i16) -> [u8; RX_SLOT] {
    RxResponse {
        id,
        offset,
        flags,
        status,
    }
    .encode()
}
