//! A command line in words.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The command line ends within quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnclosedQuote;

impl fmt::Display for UnclosedQuote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quote on the command line is not closed")
    }
}

impl core::error::Error for UnclosedQuote {}

/// Splits a command line at white space. Within `'` everything is itself, within `"` everything
/// but `\`, which makes the next character itself, as it does outside of quotes.
pub fn split(line: &str) -> Result<Vec<String>, UnclosedQuote> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                let next = chars.next().unwrap_or('\\');
                word.get_or_insert_default().push(next);
            }
            (None, c) if c.is_whitespace() || c == '\0' => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if quote.is_some() {
        Err(UnclosedQuote)
    } else {
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words() {
        for (line, words) in [
            ("", &[][..]),
            (" \t\n", &[]),
            ("a b", &["a", "b"]),
            ("  --x=1   -l  debug ", &["--x=1", "-l", "debug"]),
            ("'a b' \"c 'd'\" e'f'\"g\"", &["a b", "c 'd'", "efg"]),
            ("'' \"\"", &["", ""]),
            (r#"a\ b \" "\"" '\'"#, &["a b", "\"", "\"", "\\"]),
            ("a\\", &["a\\"]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        assert_eq!(split("a 'b"), Err(UnclosedQuote));
        assert_eq!(split("\"b\\\""), Err(UnclosedQuote));
    }

    proptest! {
        #[test]
        fn any_words_survive_quoting(words in prop::collection::vec("[^']{0,8}", 0..6)) {
            let line: Vec<_> = words.iter().map(|w| std::format!("'{w}'")).collect();
            prop_assert_eq!(split(&line.join(" ")).unwrap(), words);
        }

        #[test]
        fn no_line_panics(line: String) {
            let _ = split(&line);
        }
    }
}
