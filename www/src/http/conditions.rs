//! Conditional requests (RFC 9110, section 13).

use super::request::{Conditions, Once, Tags};
use crate::date;

/// What the conditions come to for one representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Send it.
    Proceed,
    /// 304: the client has it.
    NotModified,
    /// 412: it is not the one that the client wants.
    Failed,
}

/// Evaluates in the order of section 13.2.2. `head` is what the conditions were parsed from; `now`,
/// a moment that is not after the request, is for dates with two-digit years.
pub(super) fn evaluate(
    conditions: &Conditions,
    head: &[u8],
    etag: &[u8],
    modified: Option<u64>,
    now: u64,
) -> Outcome {
    let after = |since: Once| {
        // What is no date is as if it were not there (sections 13.1.3 and 13.1.4).
        let since = date::parse(since.of(head)?, now)?;
        Some(modified? > since)
    };
    let failed = match conditions.matches.is_empty() {
        false => !listed(conditions.matches, head, etag, Comparison::Strong),
        true => after(conditions.unmodified_since) == Some(true),
    };
    if failed {
        return Outcome::Failed;
    }
    let same = match conditions.none_match.is_empty() {
        false => listed(conditions.none_match, head, etag, Comparison::Weak),
        true => after(conditions.modified_since) == Some(false),
    };
    if same {
        Outcome::NotModified
    } else {
        Outcome::Proceed
    }
}

/// Which part of the representation is asked for: the value of `Range`, unless `If-Range` says that
/// it is about another representation (section 13.1.5).
#[cold]
pub(super) fn range<'h>(
    conditions: &Conditions,
    head: &'h [u8],
    etag: &[u8],
    modified: Option<u64>,
    now: u64,
) -> Option<&'h [u8]> {
    let range = conditions.range.of(head)?;
    let same = match conditions.if_range {
        Once::Absent => true,
        Once::Unclear => false,
        Once::One(value) => match &head[value.range()] {
            tag @ [b'"', ..] => tag == etag,
            // It says to the second when it changed, so it may have changed twice in this one
            // (section 8.8.2.2).
            since => modified.is_some_and(|at| at < now && date::parse(since, now) == Some(at)),
        },
    };
    same.then_some(range)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

fn listed(tags: Tags, head: &[u8], etag: &[u8], how: Comparison) -> bool {
    tags.of(head)
        .any(|value| value == b"*" || list_has(value, etag, how))
}

/// Whether a list of entity tags has this one, which is a strong one. Commas may be in tags, so
/// the list is read tag by tag; it ends where it is malformed.
fn list_has(mut list: &[u8], etag: &[u8], how: Comparison) -> bool {
    loop {
        list = list.trim_ascii_start();
        if let Some(rest) = list.strip_prefix(b",") {
            list = rest;
            continue;
        }
        let (weak, rest) = match list.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, list),
        };
        let Some(inner) = rest.strip_prefix(b"\"") else {
            return false;
        };
        let Some(end) = memchr::memchr(b'"', inner) else {
            return false;
        };
        if rest[..end + 2] == *etag && (how == Comparison::Weak || !weak) {
            return true;
        }
        list = &inner[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists() {
        let has = |list: &str, how| list_has(list.as_bytes(), b"\"a,b\"", how);
        for list in [
            "\"a,b\"",
            "W/\"x\", \"a,b\"",
            ",, \"\",\"a,b\"",
            "\"a\" \"a,b\"",
        ] {
            assert!(has(list, Comparison::Strong), "{list}");
            assert!(has(list, Comparison::Weak), "{list}");
        }
        assert!(has("W/\"a,b\"", Comparison::Weak));
        assert!(!has("W/\"a,b\"", Comparison::Strong));
        for list in ["", "a,b", "\"a\",\"b\"", "\"a,b", "w/\"a,b\"", "x, \"a,b\""] {
            assert!(!has(list, Comparison::Weak), "{list}");
        }
    }

    proptest! {
        #[test]
        fn no_list_panics(list in "[\"W/,a ]{0,40}") {
            let _ = list_has(list.as_bytes(), b"\"a\"", Comparison::Weak);
        }
    }
}
