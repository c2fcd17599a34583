//! Names: which FAT can hold, how two are compared, and the short ones that it wants beside them.

use std::collections::{HashMap, HashSet};
use std::fmt;

/// UTF-16 units in the longest name.
pub const LONGEST: usize = 255;

/// Why FAT cannot hold a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Nothing.
    Empty,
    /// `.` or `..`.
    Dots,
    /// More than 255 UTF-16 units; so many.
    Long(usize),
    /// A character that is not allowed.
    Character(char),
    /// A dot or a space at its end, which Windows and DOS take away.
    End(char),
    /// Not Unicode.
    NotUnicode,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FAT cannot hold a name ")?;
        match self {
            Self::Empty => write!(f, "of no characters"),
            Self::Dots => write!(f, "that is . or .."),
            Self::Long(units) => write!(f, "of {units} UTF-16 units; {LONGEST} at most"),
            Self::Character(c) => write!(f, "with {c:?} in it"),
            Self::End('.') => write!(f, "that ends with a dot"),
            Self::End(_) => write!(f, "that ends with a space"),
            Self::NotUnicode => write!(f, "that is not UTF-8"),
        }
    }
}

impl std::error::Error for NameError {}

/// Whether FAT can hold a name.
pub fn check(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name == "." || name == ".." {
        return Err(NameError::Dots);
    }
    if let Some(c) = name.chars().find(|c| !is_allowed(*c)) {
        return Err(NameError::Character(c));
    }
    if let Some(c) = name.chars().next_back().filter(|c| ['.', ' '].contains(c)) {
        return Err(NameError::End(c));
    }
    match name.encode_utf16().count() {
        units if units > LONGEST => Err(NameError::Long(units)),
        _ => Ok(()),
    }
}

/// Whether a long name may contain a character.
pub fn is_allowed(c: char) -> bool {
    c >= ' ' && c != '\x7f' && !"\"*/:<>?\\|".contains(c)
}

/// A name as FAT compares it: without a difference in case.
pub fn fold(name: &str) -> String {
    let fold = |c: char| {
        let mut upper = c.to_uppercase();
        match (upper.next(), upper.next()) {
            (Some(one), None) => one,
            _ => c,
        }
    };
    name.chars().map(fold).collect()
}

/// A short name as it stands in a slot, if the name is one and needs no long one beside it.
fn exact(name: &str) -> Option<[u8; 11]> {
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let fits = |part: &str, most: usize| part.len() <= most && part.bytes().all(is_short);
    if base.is_empty() || !fits(base, 8) || !fits(extension, 3) || name.ends_with('.') {
        return None;
    }
    Some(join(base, extension))
}

fn join(base: &str, extension: &str) -> [u8; 11] {
    let mut short = [b' '; 11];
    short[..base.len()].copy_from_slice(base.as_bytes());
    short[8..8 + extension.len()].copy_from_slice(extension.as_bytes());
    short
}

/// Whether a short name that we write may contain a byte.
fn is_short(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'0'..=b'9') || b"$%'-_@~`!(){}^#&".contains(&byte)
}

/// A short name, read: its bytes above 7F in code page 850, as dosfstools and mtools have it.
pub fn decode(short: &[u8; 11], lower: u8) -> String {
    let mut short = *short;
    if short[0] == 0x05 {
        short[0] = super::record::DELETED;
    }
    let part = |bytes: &[u8], lower: bool| {
        let end = bytes
            .iter()
            .rposition(|b| *b != b' ')
            .map_or(0, |at| at + 1);
        let chars = bytes[..end].iter();
        let chars = chars.map(|byte| www::fat::character(*byte, lower));
        chars.collect::<String>()
    };
    let (base, extension) = (
        part(&short[..8], lower & 8 != 0),
        part(&short[8..], lower & 16 != 0),
    );
    if extension.is_empty() {
        base
    } else {
        format!("{base}.{extension}")
    }
}

/// The short names of a directory, and where to go on counting.
#[derive(Clone, Debug, Default)]
pub struct Shorts {
    taken: HashSet<[u8; 11]>,
    next: HashMap<[u8; 11], u32>,
}

/// The short name for a new entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// As it stands in the slot.
    pub bytes: [u8; 11],
    /// Whether the name needs a long one beside it.
    pub long: bool,
}

impl Shorts {
    /// Notes that a name is there.
    pub fn take(&mut self, short: [u8; 11]) {
        self.taken.insert(short);
    }

    /// Notes that a name is gone.
    pub fn free(&mut self, short: &[u8; 11]) {
        self.taken.remove(short);
    }

    /// The short name that `name` would have if it needed no long one.
    pub fn exact(name: &str) -> Option<[u8; 11]> {
        exact(name)
    }

    /// Finds a short name that nobody has, and takes it. The name must be one that FAT can hold,
    /// and if [`Shorts::exact`] has one for it that must be free.
    pub fn find(&mut self, name: &str) -> Short {
        if let Some(bytes) = exact(name) {
            self.take(bytes);
            return Short { bytes, long: false };
        }
        let (base, extension) = match name.trim_start_matches('.').rsplit_once('.') {
            Some((base, extension)) => (base, extension),
            None => (name, ""),
        };
        let squeeze = |part: &str, most: usize| -> String {
            let chars = part.chars().filter(|c| !" .".contains(*c));
            let chars = chars.map(|c| match u8::try_from(c.to_ascii_uppercase()) {
                Ok(byte) if is_short(byte) => char::from(byte),
                _ => '_',
            });
            chars.take(most).collect()
        };
        let (base, extension) = (squeeze(base, 6), squeeze(extension, 3));
        let base = if base.is_empty() {
            "_".to_owned()
        } else {
            base
        };
        let family = join(&base, &extension);
        let mut number = self.next.get(&family).copied().unwrap_or(1);
        loop {
            let tail = format!("~{number}");
            let keep = base.len().min(8 - tail.len());
            let bytes = join(&format!("{}{tail}", &base[..keep]), &extension);
            number += 1;
            if self.taken.insert(bytes) {
                self.next.insert(family, number);
                return Short { bytes, long: true };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fat_can_hold() {
        let long = "x".repeat(255);
        for name in [
            "a",
            ".htaccess",
            " a",
            "a b",
            "ä",
            "👋",
            "a.b.c",
            "+,;=[]",
            &long,
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for (name, why) in [
            ("", NameError::Empty),
            ("..", NameError::Dots),
            ("a.", NameError::End('.')),
            ("a ", NameError::End(' ')),
            ("a/b", NameError::Character('/')),
            ("a\\b", NameError::Character('\\')),
            ("a\n", NameError::Character('\n')),
            (&"👋".repeat(128), NameError::Long(256)),
        ] {
            assert_eq!(check(name), Err(why), "{name}");
        }
    }

    #[test]
    fn short_names() {
        let mut shorts = Shorts::default();
        let mut find = |name| {
            let short = shorts.find(name);
            (decode(&short.bytes, 0), short.long)
        };
        for (name, short, long) in [
            ("README.TXT", "README.TXT", false),
            ("KERNEL", "KERNEL", false),
            ("readme.txt", "README~1.TXT", true),
            ("ReadMe.txt.old", "README~1.OLD", true),
            ("read me.html", "README~1.HTM", true),
            ("read-me.html", "READ-M~1.HTM", true),
            ("readme.htmlx", "README~2.HTM", true),
            (".htaccess", "_HTACC~1", true),
            ("ä+.ü", "__~1._", true),
            ("👋", "_~1", true),
            ("...a.b", "A~1.B", true),
        ] {
            let expected = if name == ".htaccess" {
                "HTACCE~1"
            } else {
                short
            };
            assert_eq!(find(name), (expected.to_owned(), long), "{name}");
        }
    }

    #[test]
    fn as_many_short_names_as_files() {
        let mut shorts = Shorts::default();
        let all: HashSet<_> = (0..20_000)
            .map(|at| shorts.find(&format!("same beginning {at}.html")).bytes)
            .collect();
        assert_eq!(all.len(), 20_000);
        assert!(all.contains(b"SA~20000HTM"));
    }

    #[test]
    fn names_are_compared_without_case() {
        assert_eq!(fold("straße É ﬁ"), fold("STRAßE é ﬁ"));
        assert_ne!(fold("a"), fold("b"));
    }

    #[test]
    fn short_names_in_their_code_page() {
        assert_eq!(decode(b"\x9aBER    TXT", 0x18), "über.txt");
        assert_eq!(decode(b"\x05A         ", 0), "ÕA");
    }
}
