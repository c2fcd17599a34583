//! What the two ends agree on: the backend's offer and its device in, our answer out.
//!
//! All of it is text that others wrote. What of an offer is absent or not a number counts as not
//! offered; what of a device is not a number, or cannot be, makes it of no use.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::wire::{DIRECT, SECTOR};

/// Keys of a backend's offer that are read before the ring is made: the order of the largest ring
/// that it maps, and the older word for the same, in pages.
pub const RING_KEYS: [&str; 2] = ["max-ring-page-order", "max-ring-pages"];

/// The order of the ring's size in pages that is offered by the values of [`RING_KEYS`]: 4 at
/// most.
pub fn ring_order(values: &[Option<String>; 2]) -> u32 {
    // 16 pages: what backends that know the key take, and room for more requests than any pool.
    const LARGEST: u64 = 4;
    let [order, pages] = values.each_ref().map(|value| offered(value.as_deref()));
    let offered = match (order, pages) {
        (Some(order), _) => order,
        (None, Some(pages)) => pages.checked_ilog2().unwrap_or(0).into(),
        (None, None) => 0,
    };
    offered.min(LARGEST) as u32
}

/// What may be used of a connected backend's offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// The most segments in a request; [`DIRECT`] without indirection.
    pub segments: usize,
    /// The backend keeps our pages mapped.
    pub persistent: bool,
    /// The backend can flush.
    pub flush: bool,
}

impl Features {
    /// The keys below the backend's path to look up, in the order that [`read`](Self::read) takes.
    pub const KEYS: [&str; 3] = [
        "feature-max-indirect-segments",
        "feature-persistent",
        "feature-flush-cache",
    ];

    /// From the values of [`KEYS`](Self::KEYS), `None` for an absent one.
    pub fn read(values: &[Option<String>; 3]) -> Self {
        let [segments, persistent, flush] =
            values.each_ref().map(|value| offered(value.as_deref()));
        let on = |value: Option<u64>| value.is_some_and(|value| value != 0);
        Features {
            segments: segments
                .and_then(|segments| usize::try_from(segments).ok())
                .map_or(DIRECT, |segments| segments.max(DIRECT)),
            persistent: on(persistent),
            flush: on(flush),
        }
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} segments", self.segments)?;
        for (on, name) in [(self.persistent, ", persistent"), (self.flush, ", flush")] {
            if on {
                f.write_str(name)?;
            }
        }
        Ok(())
    }
}

/// What a device is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Its size, in sectors of 512 bytes whatever its own are.
    pub sectors: u64,
    /// Bytes in a sector of its own.
    pub sector_size: u32,
    /// Bytes in a block of its medium; its sector size, if that is not known.
    pub physical: u32,
    /// It may only be read.
    pub read_only: bool,
}

/// Why a device's properties are of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadProperty {
    /// The value of this key, by its place in [`Properties::KEYS`], is not a number, or none that
    /// can be.
    Value(usize),
    /// Sectors of this size cannot be used: it is not 512, 1024, 2048 or 4096.
    SectorSize(u64),
}

impl Properties {
    /// The keys below a connected backend's path to look up, in the order that [`read`](Self::read)
    /// takes. The first [`NEEDED`](Self::NEEDED) of them must be there.
    pub const KEYS: [&str; 5] = [
        "sectors",
        "sector-size",
        "info",
        "physical-sector-size",
        "mode",
    ];

    /// How many keys must be there.
    pub const NEEDED: usize = 3;

    /// From the values of [`KEYS`](Self::KEYS), `None` for an absent one.
    pub fn read(values: &[Option<String>; 5]) -> Result<Self, BadProperty> {
        /// `VDISK_READONLY` of blkif.h.
        const READ_ONLY: u64 = 4;
        let [sectors, sector_size, info, physical, mode] = values.each_ref().map(Option::as_deref);
        let number =
            |value: Option<&str>, key| value.and_then(number).ok_or(BadProperty::Value(key));
        let sectors = sectors.and_then(size).ok_or(BadProperty::Value(0))?;
        let sector_size = match number(sector_size, 1)? {
            size @ (512 | 1024 | 2048 | 4096) => size as u32,
            size => return Err(BadProperty::SectorSize(size)),
        };
        let info = number(info, 2)?;
        // A hint: it need not be right.
        let physical = offered(physical)
            .and_then(|size| u32::try_from(size).ok())
            .filter(|size| size.is_power_of_two() && *size >= sector_size);
        Ok(Properties {
            sectors,
            sector_size,
            physical: physical.unwrap_or(sector_size),
            read_only: info & READ_ONLY != 0 || mode == Some("r"),
        })
    }
}

/// A device's size in sectors of 512 bytes, if it is one whose bytes can be counted.
pub fn size(text: &str) -> Option<u64> {
    const MOST: u64 = i64::MAX as u64 / SECTOR as u64;
    number(text).filter(|sectors| *sectors <= MOST)
}

/// The numbers by which the backend finds what we made for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wiring<'a> {
    /// The grants of the ring's pages: 1, 2, 4, 8 or 16.
    pub ring: &'a [u32],
    /// The port for events.
    pub port: u32,
}

/// Keys and their values.
pub type Keys = Vec<(String, String)>;

/// What we write below our path: where things are, and what we take.
pub fn answer(wiring: &Wiring<'_>) -> Keys {
    let mut keys = Vec::with_capacity(8);
    let mut put = |key: &str, value: &str| keys.push((String::from(key), String::from(value)));
    if let [grant] = wiring.ring {
        put("ring-ref", &decimal(*grant));
    } else {
        let pages = wiring.ring.len() as u32;
        put("ring-page-order", &decimal(pages.ilog2()));
        // The older word for it.
        put("num-ring-pages", &decimal(pages));
        for (number, grant) in wiring.ring.iter().enumerate() {
            put(
                &["ring-ref", &decimal(number as u32)].concat(),
                &decimal(*grant),
            );
        }
    }
    put("event-channel", &decimal(wiring.port));
    put("protocol", "x86_64-abi");
    put("feature-persistent", "1");
    keys
}

#[inline(never)]
fn decimal(number: u32) -> String {
    number.to_string()
}

#[inline(never)]
fn number(text: &str) -> Option<u64> {
    // What `parse` would take beyond this, a plus sign, no backend writes.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[inline(never)]
fn offered(value: Option<&str>) -> Option<u64> {
    value.and_then(|value| number(value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned<const N: usize>(values: [Option<&str>; N]) -> [Option<String>; N] {
        values.map(|value| value.map(String::from))
    }

    #[test]
    fn the_ring_is_as_large_as_is_offered() {
        for (order, pages, expected) in [
            (Some("4"), None, 4),
            (Some("1"), None, 1),
            (Some("0"), Some("16"), 0),
            (None, Some("16"), 4),
            (None, Some("3"), 1),
            (None, Some("0"), 0),
            (None, None, 0),
            (Some("99999999999"), None, 4),
            (Some("5"), None, 4),
            (Some("x"), Some("2"), 1),
            (Some("-1"), None, 0),
            (Some("99999999999999999999999"), None, 0),
        ] {
            let values = owned([order, pages]);
            assert_eq!(ring_order(&values), expected, "{order:?} {pages:?}");
        }
    }

    #[test]
    fn offers_of_linux_and_qemu() {
        let linux = Features::read(&owned([Some("256"), Some("1"), Some("1")]));
        assert_eq!(linux.to_string(), "256 segments, persistent, flush");
        let qemu = Features::read(&owned([None, None, None]));
        assert_eq!(qemu.to_string(), "11 segments");
        for garbage in ["", "x", "-1", "+1", "0", "1e3", "99999999999999999999"] {
            let values = owned([Some(garbage); 3]);
            assert_eq!(Features::read(&values), qemu, "{garbage:?}");
        }
    }

    const DEVICE: [Option<&str>; 5] = [
        Some("2048"),
        Some("512"),
        Some("0"),
        Some("4096"),
        Some("w"),
    ];

    fn changed(key: &str, value: Option<&'static str>) -> Result<Properties, BadProperty> {
        let mut values = DEVICE;
        let index = Properties::KEYS
            .iter()
            .position(|name| *name == key)
            .unwrap();
        values[index] = value;
        Properties::read(&owned(values))
    }

    #[test]
    fn properties_are_numbers_within_bounds() {
        let whole = Properties {
            sectors: 2048,
            sector_size: 512,
            physical: 4096,
            read_only: false,
        };
        assert_eq!(Properties::read(&owned(DEVICE)), Ok(whole));
        for garbage in [
            None,
            Some(""),
            Some("-1"),
            Some("+1"),
            Some("x"),
            Some("1 "),
        ] {
            for (number, key) in ["sectors", "sector-size", "info"].iter().enumerate() {
                let bad = Err(BadProperty::Value(number));
                assert_eq!(changed(key, garbage), bad, "{key} {garbage:?}");
            }
            let physical = changed("physical-sector-size", garbage).unwrap().physical;
            assert!(physical == 512, "{garbage:?}");
            assert_eq!(changed("mode", garbage), Ok(whole));
        }
        for size in [0, 1, 256, 511, 513, 1536, 8192, 65536] {
            let text = size.to_string().leak();
            let bad = Err(BadProperty::SectorSize(size));
            assert_eq!(changed("sector-size", Some(text)), bad);
        }
        for (sectors, fine) in [
            ("0", true),
            ("18014398509481983", true),
            ("18014398509481984", false),
            ("18446744073709551615", false),
            ("18446744073709551616", false),
        ] {
            assert_eq!(changed("sectors", Some(sectors)).is_ok(), fine, "{sectors}");
        }
        assert!(changed("info", Some("4")).unwrap().read_only);
        assert!(changed("info", Some("7")).unwrap().read_only);
        assert!(!changed("info", Some("3")).unwrap().read_only);
        assert!(changed("mode", Some("r")).unwrap().read_only);
    }

    #[test]
    fn the_answer_names_each_page_of_the_ring() {
        let text = |ring: &[u32]| {
            let keys = answer(&Wiring { ring, port: 5 });
            let lines: Vec<_> = keys
                .iter()
                .map(|(key, value)| [key, "=", value].concat())
                .collect();
            lines
        };
        let common = [
            "event-channel=5",
            "protocol=x86_64-abi",
            "feature-persistent=1",
        ];
        let one = ["ring-ref=9"];
        assert_eq!(text(&[9]), [&one[..], &common].concat());
        let two = [
            "ring-page-order=1",
            "num-ring-pages=2",
            "ring-ref0=9",
            "ring-ref1=8",
        ];
        assert_eq!(text(&[9, 8]), [&two[..], &common].concat());
    }
}
