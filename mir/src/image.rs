//! What goes into an image beside the pack: arguments that hold unless others are given, and what
//! the image is.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use www::config::{Command, ConfigError, Platform, UnclosedQuote};
use www::pack::Pack;

/// What an image is: the package metadata that is put into it. No time and no place is in it: the
/// same base, site and words make the same image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    #[serde(rename = "type")]
    kind: Type,
    /// The version of the tool that made the image.
    pub mir: String,
    /// The site in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<Site>,
}

/// Whose metadata these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Type {
    #[serde(rename = "mir-www-image")]
    Image,
}

/// A site in a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// What it is called, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How many paths it has.
    pub paths: usize,
    /// The length of the pack in bytes.
    pub bytes: usize,
    /// The SHA-256 of the pack, in hexadecimal digits.
    pub sha256: String,
}

impl About {
    /// That of an image that this tool makes.
    pub fn new(site: Option<Site>) -> Self {
        Self {
            kind: Type::Image,
            mir: env!("CARGO_PKG_VERSION").to_owned(),
            site,
        }
    }

    /// As it is in an image.
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Reads it again. `None` if it is something else.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl Site {
    /// That of the pack that these bytes are.
    pub fn new(title: Option<String>, bytes: &[u8], pack: &Pack<'_>) -> Self {
        let digest = Sha256::digest(bytes);
        Self {
            title,
            paths: pack.entries().len(),
            bytes: bytes.len(),
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

/// Whether words can be built into an image: the program must understand them by themselves.
pub fn check_words(platform: Platform, words: &[String]) -> Result<(), ConfigError> {
    Command::parse(platform, words.iter().map(String::as_str), []).map(|_| ())
}

/// Whether the program understands this as the value of `--logs`, which it reads after all others.
pub fn check_logs(value: &str) -> bool {
    value.split(',').all(|rule| {
        let (part, level) = match rule.rsplit_once(':') {
            Some((part, level)) => (part, level),
            None => ("*", rule),
        };
        !part.trim().is_empty() && level.trim().parse::<log::LevelFilter>().is_ok()
    })
}

/// Words as one command line, of which [`www::config::split`] makes the words again.
pub fn join(words: &[String]) -> String {
    let words: Vec<_> = words.iter().map(|word| quote(word)).collect();
    words.join(" ")
}

/// A command line in words.
pub fn split(line: &str) -> Result<Vec<String>, UnclosedQuote> {
    www::config::split(line)
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,.:;/@%*[]~".contains(c);
    match word {
        "" => "''".to_owned(),
        word if word.chars().all(plain) => word.to_owned(),
        // Within quotes of this kind everything is itself, but for the quote.
        word => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_quoted_where_they_must_be() {
        let join = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| word.to_string()).collect();
            super::join(&words)
        };
        assert_eq!(join(&[]), "");
        let usual = [
            "--kv_ro=fat",
            "--ipv6=fe80::1/64",
            "--logs=net:debug,*:info",
        ];
        assert_eq!(join(&usual), usual.join(" "));
        assert_eq!(
            join(&["--site=my site", "it's", ""]),
            r"'--site=my site' 'it'\''s' ''"
        );
    }

    #[test]
    fn words_that_the_program_would_refuse_are_refused() {
        let check = |platform, word: &str| check_words(platform, &[word.to_owned()]);
        assert_eq!(check(Platform::Xen, "--dhcp"), Ok(()));
        assert!(check(Platform::Xen, "--tap=tap0").is_err());
        assert!(check(Platform::Unix, "--kv_ro=fat").is_err());
    }

    #[test]
    fn metadata_are_read_back() {
        let about = About::new(Some(Site {
            title: Some("A \"site\"\n".to_owned()),
            paths: 3,
            bytes: 4,
            sha256: "00".to_owned(),
        }));
        let json = about.to_json();
        assert_eq!(About::from_json(&json), Some(about));
        assert!(json.contains(r#""type":"mir-www-image""#), "{json}");
        assert_eq!(About::from_json(r#"{"type":"deb","mir":"1"}"#), None);
        assert_eq!(About::from_json("{"), None);
    }

    proptest! {
        #[test]
        fn any_words_are_read_back(words in prop::collection::vec(any::<String>(), 0..6)) {
            prop_assert_eq!(split(&join(&words)), Ok(words));
        }
    }
}
