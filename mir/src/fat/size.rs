//! Sizes as people write them: `16M`, `64MiB`, `1474560`.

/// Reads a size: bytes, or a number with K, M, G or T (or KiB, MiB, GiB, TiB) behind it.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" | "B" => 0,
        "K" | "k" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        _ => return Err("a size is a number of bytes, or has K, M, G or T behind it".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "not a number".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "too large".to_owned())
}

/// Says a size: `1474560 bytes` as `1.4 MiB`.
pub fn say(bytes: u64) -> String {
    let unit = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match unit.into_iter().find(|(shift, _)| bytes >> shift != 0) {
        Some((shift, unit)) => {
            let tenths = (u128::from(bytes) * 10) >> shift;
            match tenths % 10 {
                0 => format!("{} {unit}", tenths / 10),
                tenth => format!("{}.{tenth} {unit}", tenths / 10),
            }
        }
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1474560", 1_474_560),
            ("16M", 16 << 20),
            ("64MiB", 64 << 20),
            ("3K", 3072),
            ("2G", 2 << 30),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "M",
            "16MB",
            "-1",
            "1.5M",
            "16 M",
            "99999999999999999999",
            "20000000T",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(say(1_474_560), "1.4 MiB");
        assert_eq!(say(16 << 20), "16 MiB");
        assert_eq!(say(1023), "1023 bytes");
        assert_eq!(say(u64::MAX), "16777215.9 TiB");
    }
}
