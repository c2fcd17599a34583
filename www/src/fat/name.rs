//! Names: long ones in pieces of UTF-16, short ones in a code page.

use alloc::string::String;

/// UTF-16 units that a long name may have.
pub(super) const MAX_UNITS: usize = 255;
/// UTF-16 units in one piece of a long name.
const PIECE: usize = 13;
/// Pieces that a long name may have.
const PIECES: usize = 20;

/// Collects the pieces of a long name, which stand before the record that they name, last first.
pub(super) struct LongName {
    units: [u16; PIECE * PIECES],
    /// Pieces that the name has; none: there is no name.
    pieces: u8,
    /// Those that have come, a bit each.
    seen: u32,
    /// The one that has to come next.
    next: u8,
    sum: u8,
    /// Pieces may come in any order: ocaml-fat writes the first one first.
    any_order: bool,
}

impl LongName {
    pub(super) fn new(any_order: bool) -> Self {
        Self {
            units: [0xffff; PIECE * PIECES],
            pieces: 0,
            seen: 0,
            next: 0,
            sum: 0,
            any_order,
        }
    }

    pub(super) fn clear(&mut self) {
        self.pieces = 0;
        self.seen = 0;
        self.next = 0;
    }

    /// Takes a record with a piece.
    pub(super) fn push(&mut self, record: &[u8; 32]) {
        let number = record[0] & 0x3f;
        let last = record[0] & 0x40 != 0;
        if number == 0 || usize::from(number) > PIECES || record[0] & 0x80 != 0 {
            return self.clear();
        }
        if self.any_order {
            if self.seen != 0 && (self.sum != record[13] || self.seen >> (number - 1) & 1 == 1) {
                self.clear();
            }
            if last {
                self.pieces = number;
            }
        } else if last {
            self.clear();
            self.pieces = number;
        } else if self.next != number || self.sum != record[13] {
            return self.clear();
        }
        self.sum = record[13];
        self.seen |= 1 << (number - 1);
        self.next = number - 1;
        let at = usize::from(number - 1) * PIECE;
        let (first, second, third) = (&record[1..11], &record[14..26], &record[28..32]);
        let pairs = [first, second, third]
            .into_iter()
            .flat_map(|part| part.chunks_exact(2));
        for (unit, pair) in self.units[at..at + PIECE].iter_mut().zip(pairs) {
            *unit = u16::from_le_bytes([pair[0], pair[1]]);
        }
    }

    /// The units of the name, if all pieces came and they are those of the record with this
    /// short name.
    pub(super) fn finish(&self, short: &[u8; 11]) -> Option<&[u16]> {
        if self.pieces == 0
            || self.seen.checked_add(1)? != 1 << self.pieces
            || self.sum != checksum(short)
        {
            return None;
        }
        let units = &self.units[..usize::from(self.pieces) * PIECE];
        let end = units
            .iter()
            .position(|unit| *unit == 0)
            .unwrap_or(units.len());
        // What follows the end is filled with 0xffff by everybody; nobody need read it.
        (1..=MAX_UNITS).contains(&end).then(|| &units[..end])
    }
}

/// The sum over a short name by which pieces of a long name know it.
pub(super) fn checksum(short: &[u8; 11]) -> u8 {
    short
        .iter()
        .fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// The characters of a long name. A surrogate without its other half is no character: U+FFFD
/// stands for it.
pub(super) fn long(units: &[u16]) -> impl Iterator<Item = char> + '_ {
    char::decode_utf16(units.iter().copied())
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// Adds a short name to `out`. `lower`: the flags of Windows NT, 0x08 for a name and 0x10 for an
/// extension that is shown in lower case. It is never empty, and has no slash.
pub(super) fn short(name: &[u8; 11], lower: u8, out: &mut String) {
    let mut name = *name;
    if name[0] == 0x05 {
        // In this place 0xe5 means that the record was deleted.
        name[0] = 0xe5;
    }
    let (base, extension) = name.split_at(8);
    let (base, extension) = (trim(base), trim(extension));
    if base.is_empty() && extension.is_empty() {
        out.push(char::REPLACEMENT_CHARACTER);
    }
    for (part, flag) in [(base, 0x08), (extension, 0x10)] {
        if flag == 0x10 && !part.is_empty() {
            out.push('.');
        }
        out.extend(part.iter().map(|byte| match byte {
            b'/' => char::REPLACEMENT_CHARACTER,
            byte => character(*byte, lower & flag != 0),
        }));
    }
}

fn trim(mut part: &[u8]) -> &[u8] {
    while let [rest @ .., b' '] = part {
        part = rest;
    }
    part
}

/// The character of a byte of a short name, in lower case if `lower`: code page 850, which is what
/// mkfs.fat, fsck.fat and mtools take a short name for, unless they are told another.
pub fn character(byte: u8, lower: bool) -> char {
    let code = match byte {
        0x80.. => CODE_PAGE_850[usize::from(byte - 0x80)],
        _ => byte.into(),
    };
    let code = match char::from_u32(code.into()) {
        // Its letters are those of Latin-1, where the small ones stand 32 further on.
        Some('A'..='Z' | 'À'..='Ö' | 'Ø'..='Þ') if lower => code + 32,
        _ => code,
    };
    char::from_u32(code.into()).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The upper half of code page 850. Source: CP850.TXT of the Unicode consortium's mappings.
const CODE_PAGE_850: [u16; 128] = narrow([
    'Ç', 'ü', 'é', 'â', 'ä', 'à', 'å', 'ç', 'ê', 'ë', 'è', 'ï', 'î', 'ì', 'Ä', 'Å', //
    'É', 'æ', 'Æ', 'ô', 'ö', 'ò', 'û', 'ù', 'ÿ', 'Ö', 'Ü', 'ø', '£', 'Ø', '×', 'ƒ', //
    'á', 'í', 'ó', 'ú', 'ñ', 'Ñ', 'ª', 'º', '¿', '®', '¬', '½', '¼', '¡', '«', '»', //
    '░', '▒', '▓', '│', '┤', 'Á', 'Â', 'À', '©', '╣', '║', '╗', '╝', '¢', '¥', '┐', //
    '└', '┴', '┬', '├', '─', '┼', 'ã', 'Ã', '╚', '╔', '╩', '╦', '╠', '═', '╬', '¤', //
    'ð', 'Ð', 'Ê', 'Ë', 'È', 'ı', 'Í', 'Î', 'Ï', '┘', '┌', '█', '▄', '¦', 'Ì', '▀', //
    'Ó', 'ß', 'Ô', 'Ò', 'õ', 'Õ', 'µ', 'þ', 'Þ', 'Ú', 'Û', 'Ù', 'ý', 'Ý', '¯', '´', //
    '\u{ad}', '±', '‗', '¾', '¶', '§', '÷', '¸', '°', '¨', '·', '¹', '³', '²', '■', '\u{a0}',
]);

/// All of these are below U+10000; this way they take half the room.
const fn narrow(characters: [char; 128]) -> [u16; 128] {
    let mut codes = [0; 128];
    let mut at = 0;
    while at < codes.len() {
        codes[at] = characters[at] as u16;
        at += 1;
    }
    codes
}
