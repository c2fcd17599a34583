//! How much memory a guest needs.

const MIB: u64 = 1 << 20;

/// Beside the image: page tables, the stack, the heap, pages that are shared with dom0, and some
/// connections. Measured: a site of 6 MiB serves 50 clients in 12 MiB (tests/xen/dom0/small.sh).
const BESIDE: u64 = 5 * MIB;

/// What a small site has in memory from its first connection on; the guest was never tried in less.
const FLOOR: u64 = 8;

/// For connections and what is cached: what they do not have they do without.
const ROOM: u64 = 10 * MIB;

/// What a guest gets if it needs less: enough for some thousands of connections.
const USUAL: u64 = 32;

/// What a file on a volume takes in the guest's index, at most.
const FILE: u64 = 256;

/// Memory of a domain, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Less is not enough to serve.
    pub least: u64,
    /// What it should get.
    pub usual: u64,
}

/// The memory for an image of this many bytes, that serves this many files from disks, with a
/// cache of so many bytes if one was asked for.
pub fn memory_for(image: u64, files: u64, cache: Option<u64>) -> Memory {
    let sum = [BESIDE, files.saturating_mul(FILE), cache.unwrap_or(0)];
    let sum = sum.into_iter().fold(image, u64::saturating_add);
    Memory {
        least: sum.div_ceil(MIB).max(FLOOR),
        usual: sum
            .saturating_add(ROOM)
            .div_ceil(MIB)
            .next_multiple_of(4)
            .max(USUAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let memory = |image, files, cache| {
            let Memory { least, usual } = memory_for(image, files, cache);
            (least, usual)
        };
        assert_eq!(memory(700_000, 0, None), (8, 32));
        // As measured: six files of 1 MiB, and the guest.
        assert_eq!(memory(6 * MIB + 600_000, 0, None), (12, 32));
        assert_eq!(memory(65 * MIB, 0, None), (70, 80));
        assert_eq!(memory(700_000, 100_000, Some(64 * MIB)), (95, 108));
        assert!(memory(u64::MAX, u64::MAX, Some(u64::MAX)).0 > 1 << 40);
    }
}
