//! Folders from elsewhere that are a part of the site.

use super::super::table::{Placed, Table};
use super::needed;
use super::rules::is_address;
use crate::problem::Problem;

/// A folder that is not in the site's, and where its files are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The line in `site.toml` that names the folder.
    pub(crate) line: usize,
    /// The folder, as it is written there: relative to the site's, without a slash at the end.
    pub(crate) from: String,
    /// The path of the site, without a slash at the end: `/docs`.
    pub(crate) to: String,
    /// Which of its pages come first, in this order: names relative to the folder.
    pub(crate) order: Vec<Placed>,
    /// The address of the folder above it, with a slash at the end.
    pub(crate) outside: Option<String>,
}

/// `[[mount]]`.
pub(super) fn mounts(table: &Table<'_>, problems: &mut Vec<Problem>) -> Vec<Mount> {
    let tables = table.tables("mount", "a list of tables with from and to", problems);
    let mut found: Vec<Mount> = Vec::new();
    for (line, rule) in tables {
        rule.known(&["from", "to", "order", "outside"], problems);
        let from = needed(&rule, line, "from", problems);
        let to = needed(&rule, line, "to", problems).filter(|to| {
            let path = to.text.as_str();
            let good = path != "/" && path.starts_with('/') && www::pack::is_canonical(path);
            if !good {
                rule.expected("to", to.line, "a path of the site, such as /docs", problems);
            }
            good
        });
        let order = rule.texts("order", problems);
        let expected = "an address that begins with http";
        let outside = rule.text("outside", problems).filter(|url| {
            let good = is_address(url);
            if !good {
                let line = rule.entry("outside").map_or(line, |entry| entry.line);
                rule.expected("outside", line, expected, problems);
            }
            good
        });
        let (Some(from), Some(to)) = (from, to) else {
            continue;
        };
        let trimmed = from.text.trim_end_matches('/');
        let mount = Mount {
            line: from.line,
            from: trimmed.to_owned(),
            to: to.text.trim_end_matches('/').to_owned(),
            order,
            outside: outside.map(|url| format!("{}/", url.trim_end_matches('/'))),
        };
        let named = |other: &Mount| other.from == mount.from;
        if trimmed.is_empty() {
            rule.expected("from", from.line, "a folder", problems);
        } else if found.iter().any(named) {
            let why = format!("`{trimmed}` is mounted twice");
            rule.say(from.line, why, problems);
        } else {
            found.push(mount);
        }
    }
    found
}
