//! HTTP dates: IMF-fixdate out, all three of RFC 9110's forms in.

/// Length of an IMF-fixdate.
pub const LEN: usize = 29;

/// The last second that an IMF-fixdate can name: 9999-12-31 23:59:59.
pub const MAX: u64 = 253_402_300_799;

const DAYS: [&[u8; 3]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// Seconds since 1970 as an IMF-fixdate (`Sun, 06 Nov 1994 08:49:37 GMT`). Times after the year
/// 9999 become its last second.
pub fn imf_fixdate(unix: u64) -> [u8; LEN] {
    let unix = unix.min(MAX);
    let days = unix / 86_400;
    let second = unix % 86_400;
    let (year, month, day) = civil(days);
    let mut out = *b"Xxx, 00 Xxx 0000 00:00:00 GMT";
    // 1970-01-01 was a Thursday.
    out[..3].copy_from_slice(DAYS[((days + 4) % 7) as usize]);
    two(&mut out[5..7], day);
    out[8..11].copy_from_slice(MONTHS[month as usize - 1]);
    two(&mut out[12..14], year / 100);
    two(&mut out[14..16], year % 100);
    two(&mut out[17..19], second / 3600);
    two(&mut out[20..22], second / 60 % 60);
    two(&mut out[23..25], second % 60);
    out
}

/// Reads an HTTP date in any of its three forms; `None` if it is not one. The name of the day is
/// not compared with the date. `now` places the two-digit years of the RFC 850 form.
pub fn parse(text: &[u8], now: u64) -> Option<u64> {
    if text.len() == LEN && text[3] == b',' {
        return imf(text);
    }
    if text.contains(&b',') {
        return rfc850(text, now);
    }
    asctime(text)
}

fn imf(t: &[u8]) -> Option<u64> {
    DAYS.iter().find(|d| **d == &t[..3])?;
    if t[4] != b' ' || t[7] != b' ' || t[11] != b' ' || t[16] != b' ' || &t[25..] != b" GMT" {
        return None;
    }
    let year = number(&t[12..16])?;
    unix(
        year,
        month(&t[8..11])?,
        number(&t[5..7])?,
        time(&t[17..25])?,
    )
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(t: &[u8], now: u64) -> Option<u64> {
    let comma = t.iter().position(|b| *b == b',')?;
    let (day, rest) = t.split_at(comma);
    let named = DAYS.iter().any(|d| day.starts_with(*d)) && day.ends_with(b"day");
    if !named || rest.len() != 24 || &rest[..2] != b", " || &rest[20..] != b" GMT" {
        return None;
    }
    let t = &rest[2..];
    if t[2] != b'-' || t[6] != b'-' || t[9] != b' ' {
        return None;
    }
    let (this_year, _, _) = civil(now.min(MAX) / 86_400);
    let mut year = this_year / 100 * 100 + number(&t[7..9])?;
    if year > this_year + 50 {
        year -= 100;
    }
    unix(year, month(&t[3..6])?, number(&t[..2])?, time(&t[10..18])?)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(t: &[u8]) -> Option<u64> {
    if t.len() != 24 || t[3] != b' ' || t[7] != b' ' || t[10] != b' ' || t[19] != b' ' {
        return None;
    }
    DAYS.iter().find(|d| **d == &t[..3])?;
    let day = if t[8] == b' ' {
        number(&t[9..10])?
    } else {
        number(&t[8..10])?
    };
    unix(
        number(&t[20..24])?,
        month(&t[4..7])?,
        day,
        time(&t[11..19])?,
    )
}

/// Seconds since 1970; `None` for a day that there is not. Months are 1 to 12.
pub(crate) fn unix(year: u64, month: u64, day: u64, second: u64) -> Option<u64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if year < 1970 || day == 0 || day > last {
        return None;
    }
    Some(days(year, month, day) * 86_400 + second)
}

/// Seconds of the day; a leap second counts as the one before it.
fn time(t: &[u8]) -> Option<u64> {
    let (hour, minute, second) = (number(&t[..2])?, number(&t[3..5])?, number(&t[6..8])?);
    let well = t[2] == b':' && t[5] == b':' && hour < 24 && minute < 60 && second <= 60;
    well.then(|| hour * 3600 + minute * 60 + second.min(59))
}

fn month(t: &[u8]) -> Option<u64> {
    MONTHS.iter().position(|m| *m == t).map(|m| m as u64 + 1)
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |n, d| {
        d.is_ascii_digit().then(|| n * 10 + u64::from(d - b'0'))
    })
}

fn two(out: &mut [u8], n: u64) {
    out[0] = b'0' + (n / 10) as u8;
    out[1] = b'0' + (n % 10) as u8;
}

/// The days before 1970-01-01 since 0000-03-01, where eras of 400 years begin.
const EPOCH: u64 = 719_468;
const ERA: u64 = 146_097;

/// Year, month (1 to 12) and day of a day counted from 1970. Years begin in March here, so that
/// the leap day comes last (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + EPOCH;
    let era = z / ERA;
    let doe = z % ERA;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, day)
}

fn days(year: u64, month: u64, day: u64) -> u64 {
    let y = year - u64::from(month <= 2);
    let era = y / 400;
    let yoe = y % 400;
    let mp = (month + 9) % 12;
    let doy = (153 * mp + 2) / 5 + day - 1;
    era * ERA + yoe * 365 + yoe / 4 - yoe / 100 + doy - EPOCH
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn known_dates() {
        for (unix, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (2_147_483_648, "Tue, 19 Jan 2038 03:14:08 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(core::str::from_utf8(&imf_fixdate(unix)).unwrap(), text);
            assert_eq!(parse(text.as_bytes(), 0), Some(unix));
        }
        assert_eq!(imf_fixdate(u64::MAX), imf_fixdate(MAX));
    }

    #[test]
    fn the_obsolete_forms() {
        let now = 1_795_000_000;
        assert_eq!(
            parse(b"Sunday, 06-Nov-94 08:49:37 GMT", now),
            Some(784_111_777)
        );
        assert_eq!(parse(b"Sun Nov  6 08:49:37 1994", now), Some(784_111_777));
        // Two digits more than 50 years ahead are of the century before.
        assert_eq!(
            parse(b"Friday, 01-Jan-70 00:00:00 GMT", now),
            parse(b"Wed, 01 Jan 2070 00:00:00 GMT", now)
        );
        assert_eq!(
            parse(b"Friday, 01-Jan-90 00:00:00 GMT", now),
            Some(631_152_000)
        );
    }

    #[test]
    fn not_dates() {
        for text in [
            "",
            "0",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 29 Feb 1900 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Xun, 06 Nov 1994 08:49:37 GMT",
            "Sun Nov  6 08:49:37 94",
        ] {
            assert_eq!(parse(text.as_bytes(), 0), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_second_survives(unix in 0..=MAX) {
            prop_assert_eq!(parse(&imf_fixdate(unix), 0), Some(unix));
        }

        #[test]
        fn no_text_panics(text: Vec<u8>, now: u64) {
            let _ = parse(&text, now);
        }

        #[test]
        fn nearly_dates_do_not_panic(unix in 0..=MAX, at in 0..LEN, byte: u8) {
            let mut text = imf_fixdate(unix);
            text[at] = byte;
            let _ = parse(&text, unix);
        }
    }
}
