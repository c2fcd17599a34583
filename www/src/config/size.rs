//! Sizes in bytes, as people write them.

/// The least memory that `--cache` takes, in bytes: some blocks for each of two readers.
pub const MIN_CACHE: usize = 256 << 10;

/// A number of bytes, or of KiB, MiB or GiB with `K`, `M` or `G` behind it.
pub(super) fn parse(text: &str) -> Option<usize> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' | b'k' => (&text[..text.len() - 1], 10),
        b'M' | b'm' => (&text[..text.len() - 1], 20),
        b'G' | b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    // `parse` would take a plus sign.
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<usize>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [
            ("0", 0),
            ("262144", MIN_CACHE),
            ("256K", MIN_CACHE),
            ("4M", 4 << 20),
            ("4m", 4 << 20),
            ("1G", 1 << 30),
        ] {
            assert_eq!(parse(text), Some(size), "{text}");
        }
        for text in [
            "",
            "M",
            "4MB",
            "+4M",
            "-1",
            "4.5M",
            " 4M",
            "99999999999G",
            "4é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
