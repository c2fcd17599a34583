//! Dates as authors write them: `2016-2-29`, `2018-03-08 12:30`, RFC 3339.

use std::fmt;

/// A day, and a time of day if one was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
    /// Seconds since midnight UTC and before any change of day that an offset makes.
    second: i32,
}

const DAY: i32 = 24 * 60 * 60;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Date {
    /// Reads a date; `None` for what is none, such as the 30th of February.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (day, time) = match text.find(['T', 't', ' ']) {
            Some(at) => (&text[..at], Some(text[at + 1..].trim())),
            None => (text, None),
        };
        let mut parts = day.split('-');
        let year = number(parts.next()?, 4, 4)?;
        let month = number(parts.next()?, 1, 2)?;
        let day = number(parts.next()?, 1, 2)?;
        if parts.next().is_some() || !(1..=12).contains(&month) {
            return None;
        }
        if !(1..=days_in(year, month)).contains(&day) {
            return None;
        }
        Some(Self {
            year: year as u16,
            month: month as u8,
            day: day as u8,
            second: time.map_or(Some(0), time_of_day)?,
        })
    }

    /// The year, as written.
    pub(crate) fn year(&self) -> u16 {
        self.year
    }

    /// `2018-03-08T12:30:00Z`: the moment in UTC, midnight if no time was given.
    pub(crate) fn rfc3339(&self) -> String {
        // A leap second is written as the one after it. An offset may change the day by one.
        let days = self.second.div_euclid(DAY);
        let second = self.second.rem_euclid(DAY);
        let mut date = *self;
        for _ in 0..days.abs() {
            date = if days > 0 {
                date.tomorrow()
            } else {
                date.yesterday()
            };
        }
        let (hour, minute) = (second / 3600, second / 60 % 60);
        format!("{date}T{hour:02}:{minute:02}:{:02}Z", second % 60)
    }

    fn tomorrow(self) -> Self {
        let last = days_in(self.year.into(), self.month.into());
        match (u32::from(self.day) < last, self.month) {
            (true, _) => Self {
                day: self.day + 1,
                ..self
            },
            (false, 12) => Self {
                year: self.year.saturating_add(1),
                month: 1,
                day: 1,
                ..self
            },
            (false, _) => Self {
                month: self.month + 1,
                day: 1,
                ..self
            },
        }
    }

    fn yesterday(self) -> Self {
        match (self.day, self.month) {
            (1, 1) => Self {
                year: self.year.saturating_sub(1),
                month: 12,
                day: 31,
                ..self
            },
            (1, month) => {
                let day = days_in(self.year.into(), u32::from(month) - 1) as u8;
                Self {
                    month: month - 1,
                    day,
                    ..self
                }
            }
            _ => Self {
                day: self.day - 1,
                ..self
            },
        }
    }

    /// `8 March 2018`.
    pub fn long(&self) -> String {
        let month = MONTHS[usize::from(self.month) - 1];
        format!("{} {month} {}", self.day, self.year)
    }
}

/// `2018-03-08`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

fn number(text: &str, least: usize, most: usize) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || text.len() < least || text.len() > most {
        return None;
    }
    text.parse().ok()
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn time_of_day(text: &str) -> Option<i32> {
    let at = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, offset) = (text[..at].trim(), &text[at..]);
    let mut parts = clock.split(':');
    let hour = number(parts.next()?, 1, 2).filter(|&hour| hour < 24)?;
    let minute = number(parts.next()?, 2, 2).filter(|&minute| minute < 60)?;
    let second = match parts.next() {
        Some(text) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
            number(fraction, 1, 9)?;
            number(whole, 2, 2).filter(|&second| second <= 60)?
        }
        None => 0,
    };
    if parts.next().is_some() {
        return None;
    }
    let offset = match offset.split_at_checked(1) {
        None | Some(("Z" | "z", "")) => 0,
        Some((sign @ ("+" | "-"), rest)) => {
            let digits = rest.replace(':', "");
            // YAML has hours alone, too.
            let value = match digits.len() {
                1 | 2 => number(&digits, 1, 2)? * 100,
                _ => number(&digits, 4, 4)?,
            };
            let seconds = (value / 100 * 3600 + value % 100 * 60) as i32;
            if sign == "+" { seconds } else { -seconds }
        }
        Some(_) => return None,
    };
    Some((hour * 3600 + minute * 60 + second) as i32 - offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_authors_write() {
        for (text, day) in [
            ("2016-2-29", "2016-02-29"),
            (" 2018-03-08 ", "2018-03-08"),
            ("2018-03-08T12:30:59Z", "2018-03-08"),
            ("2018-03-08 12:30", "2018-03-08"),
            ("2018-03-08T12:30:59.25+05:30", "2018-03-08"),
            ("2018-03-08 12:30 -0800", "2018-03-08"),
            ("2001-12-14 21:59:43.10 -5", "2001-12-14"),
            ("2001-12-14t21:59:43.10-05:00", "2001-12-14"),
        ] {
            let date = Date::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(date.to_string(), day);
        }
        assert_eq!(
            Date::parse("2018-3-8").map(|d| d.long()).as_deref(),
            Some("8 March 2018")
        );
    }

    #[test]
    fn refuses_what_is_no_date() {
        for text in [
            "",
            "2018",
            "2018-13-01",
            "2015-02-29",
            "1900-2-29",
            "18-1-1",
            "2018-1-1-1",
            "2018-01-01T25:00",
            "2018-01-01Tx",
            "2018-01-01 10:00 nonsense",
            "+018-1-1",
            "2018-01-01T10:00:00+100",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }

    #[test]
    fn feeds_have_moments() {
        for (text, moment) in [
            ("2016-2-29", "2016-02-29T00:00:00Z"),
            ("2016-02-29T23:30:10-05:00", "2016-03-01T04:30:10Z"),
            ("2016-01-01 00:30 +0100", "2015-12-31T23:30:00Z"),
            ("2016-03-01 00:30 +0100", "2016-02-29T23:30:00Z"),
            ("2015-12-31T23:59:60Z", "2016-01-01T00:00:00Z"),
        ] {
            assert_eq!(Date::parse(text).unwrap().rfc3339(), moment, "{text}");
        }
    }

    #[test]
    fn sorts_by_time() {
        let mut dates = ["2018-03-08T12:00Z", "2018-03-08", "2018-03-08T12:00+02:00"]
            .map(|text| Date::parse(text).unwrap());
        dates.sort();
        assert_eq!(dates.map(|date| date.second), [0, 36000, 43200]);
    }
}
