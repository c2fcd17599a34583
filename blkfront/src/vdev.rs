//! Names and numbers of virtual disks, as
//! [xen-vbd-interface(7)](https://xenbits.xen.org/docs/4.17-testing/man/xen-vbd-interface.7.html) has
//! them.

use core::fmt;
use core::str::FromStr;

/// A disk, or a partition that the toolstack presents like one: the number in `device/vbd/N`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Vdev(pub u32);

/// The text is neither a name such as `xvda`, `/dev/xvdb1` or `d0p1`, nor a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadVdev;

impl fmt::Display for BadVdev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a disk: names are such as xvda, /dev/xvdb1, d0p1 or 51712")
    }
}

impl core::error::Error for BadVdev {}

/// Marks the form for any disk and partition.
const EXTENDED: u32 = 1 << 28;
/// The major number of the form for the first 16 of each.
const XVD_MAJOR: u32 = 202;

const DISKS: u32 = 1 << 20;
const PARTITIONS: u32 = 1 << 8;

impl Vdev {
    /// The disk of this index (0 is `xvda`), or its partition if that is not 0. `None` if Xen has
    /// no number for it.
    pub fn new(disk: u32, partition: u32) -> Option<Self> {
        if disk < 16 && partition < 16 {
            Some(Vdev(XVD_MAJOR << 8 | disk << 4 | partition))
        } else if disk < DISKS && partition < PARTITIONS {
            Some(Vdev(EXTENDED | disk << 8 | partition))
        } else {
            None
        }
    }

    /// Disk and partition; `None` for the numbers of other kinds of disk, such as `hda`'s.
    pub fn parts(self) -> Option<(u32, u32)> {
        if self.0 >> 28 == 1 {
            Some(((self.0 & (EXTENDED - 1)) >> 8, self.0 & 0xff))
        } else if self.0 >> 8 == XVD_MAJOR {
            Some((self.0 >> 4 & 15, self.0 & 15))
        } else {
            None
        }
    }
}

fn number(text: &str) -> Result<u32, BadVdev> {
    // What `parse` would take beyond this, a plus sign, no toolstack writes.
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| BadVdev)
    } else {
        Err(BadVdev)
    }
}

impl FromStr for Vdev {
    type Err = BadVdev;

    fn from_str(text: &str) -> Result<Self, BadVdev> {
        let name = text.strip_prefix("/dev/").unwrap_or(text);
        if let Some(rest) = name.strip_prefix("xvd") {
            let letters = rest.bytes().take_while(u8::is_ascii_lowercase).count();
            let (letters, partition) = rest.split_at(letters);
            if letters.is_empty() || letters.len() > 4 {
                return Err(BadVdev);
            }
            // a to z, then aa: digits without a zero.
            let disk = letters
                .bytes()
                .fold(0, |disk, letter| disk * 26 + u32::from(letter - b'a') + 1);
            let partition = match partition {
                "" => 0,
                text if text.starts_with('0') => return Err(BadVdev),
                text => number(text)?,
            };
            return Vdev::new(disk - 1, partition).ok_or(BadVdev);
        }
        if let Some(rest) = name.strip_prefix('d') {
            let (disk, partition) = rest.split_once('p').unwrap_or((rest, "0"));
            return Vdev::new(number(disk)?, number(partition)?).ok_or(BadVdev);
        }
        match name.strip_prefix("0x") {
            Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                u32::from_str_radix(hex, 16).map_err(|_| BadVdev).map(Vdev)
            }
            _ => number(name).map(Vdev),
        }
    }
}

impl fmt::Display for Vdev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((disk, partition)) = self.parts() else {
            return self.0.fmt(f);
        };
        let mut letters = [0; 5];
        let mut at = letters.len();
        let mut rest = disk + 1;
        while rest > 0 && at > 0 {
            at -= 1;
            rest -= 1;
            letters[at] = b'a' + (rest % 26) as u8;
            rest /= 26;
        }
        f.write_str("xvd")?;
        for letter in &letters[at..] {
            write!(f, "{}", char::from(*letter))?;
        }
        if partition > 0 {
            partition.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::{BadVdev, Vdev};
    use std::string::ToString;

    #[test]
    fn names_and_numbers_of_the_manual() {
        for (name, number) in [
            ("xvda", 51712),
            ("/dev/xvda", 51712),
            ("51712", 51712),
            ("0xca00", 51712),
            ("d0p0", 51712),
            ("d0", 51712),
            ("xvdb", 51728),
            ("xvda1", 51713),
            ("xvdp15", 0xcaff),
            ("xvdq", 0x1000_1000),
            ("xvda16", 0x1000_0010),
            ("d536p37", 0x1002_1825),
            ("xvdtq37", 0x1002_1825),
            ("768", 768),
        ] {
            assert_eq!(name.parse(), Ok(Vdev(number)), "{name}");
        }
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for disk in (0..2000).chain([26 * 26, 26 * 27 + 25, 475_253]) {
            for partition in [0, 1, 15, 16, 255] {
                let vdev = Vdev::new(disk, partition).unwrap();
                assert_eq!(vdev.parts(), Some((disk, partition)));
                assert_eq!(vdev.to_string().parse(), Ok(vdev), "{vdev}");
            }
        }
        assert_eq!(Vdev(768).to_string(), "768");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "xvd",
            "xvd1",
            "xvdA",
            "xvda0",
            "xvda01",
            "xvda256",
            "xvdzzzzz",
            "d",
            "dp",
            "d1p",
            "+1",
            "4294967296",
            "0x",
            "0xg",
            "sda",
            "/dev/",
            "xvda1x",
            "d1048576",
            "xvdé",
        ] {
            assert_eq!(text.parse::<Vdev>(), Err(BadVdev), "{text}");
        }
    }
}
