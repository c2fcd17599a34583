//! One end's directory: keys with typed values that others wrote.

use alloc::string::String;
use core::fmt;

use super::XenbusError;
use crate::xenstore::{Store, StoreError, Watch, codec};

/// A device's directory, its own or the other end's.
///
/// A key that is missing, or not to be read, has its default; one that holds what it cannot hold is
/// [`XenbusError::BadValue`] with its name. Cancelling a read does nothing.
#[derive(Clone)]
pub struct Dir {
    store: Store,
    path: String,
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl Dir {
    pub(super) fn new(store: &Store, path: String) -> Self {
        Self {
            store: store.clone(),
            path,
        }
    }

    /// Its path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path of a key in it.
    pub fn key(&self, key: &str) -> String {
        [&self.path, "/", key].concat()
    }

    /// The value of a key, `None` if it is missing.
    pub async fn text(&self, key: &str) -> Result<Option<String>, XenbusError> {
        match self.store.read(&self.key(key)).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_missing() => Ok(None),
            Err(StoreError::NotText) => Err(XenbusError::bad(key, "(not text)")),
            Err(error) => Err(error.into()),
        }
    }

    /// A decimal number.
    pub async fn number(&self, key: &str, default: u32) -> Result<u32, XenbusError> {
        self.parsed(key, |value| codec::number(value.as_bytes()))
            .await
            .map(|number| number.unwrap_or(default))
    }

    /// Something that is on, 1, or off, 0.
    pub async fn flag(&self, key: &str, default: bool) -> Result<bool, XenbusError> {
        let flag = |value: &str| match value {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        };
        let flag = self.parsed(key, flag).await?;
        Ok(flag.unwrap_or(default))
    }

    /// An Ethernet address.
    pub async fn mac(&self, key: &str) -> Result<Option<Mac>, XenbusError> {
        self.parsed(key, Mac::parse).await
    }

    /// What `parse` makes of the value, `None` if it is missing.
    pub async fn parsed<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, XenbusError> {
        match self.text(key).await? {
            None => Ok(None),
            Some(value) => match parse(&value) {
                Some(parsed) => Ok(Some(parsed)),
                None => Err(XenbusError::bad(key, &value)),
            },
        }
    }

    /// Watches one key.
    pub async fn watch(&self, key: &str) -> Result<Watch, XenbusError> {
        Ok(self.store.watch(&self.key(key)).await?)
    }
}

impl Mac {
    /// From six hexadecimal octets between colons.
    pub fn parse(text: &str) -> Option<Self> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2)?;
            // `from_str_radix` would take a sign.
            if !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            *octet = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(Self(octets))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, octet) in self.0.iter().enumerate() {
            let colon = if n == 0 { "" } else { ":" };
            write!(f, "{colon}{octet:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn addresses() {
        let mac = Mac::parse("00:16:3e:Ab:00:01").unwrap();
        assert_eq!(mac.0, [0, 0x16, 0x3e, 0xab, 0, 1]);
        assert_eq!(mac.to_string(), "00:16:3e:ab:00:01");
        for bad in [
            "",
            "00:16:3e:ab:00",
            "00:16:3e:ab:00:01:02",
            "00:16:3e:ab:00:1",
            "00:16:3e:ab:00:+1",
            "00-16-3e-ab-00-01",
            "00:16:3e:ab:00:0g",
        ] {
            assert_eq!(Mac::parse(bad), None, "{bad}");
        }
    }
}
