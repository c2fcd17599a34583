//! Redirects and header fields of `site.toml`. What the server can send is what it says itself.

use www::pack::{check_location, is_canonical, may_add};

use super::super::Redirect;
use super::super::data::Data;
use super::super::escape;
use super::super::table::{Placed, Table};
use super::needed;
use crate::pack::HeaderRule;
use crate::problem::Problem;

/// The status of what is gone and leads nowhere.
const GONE: u16 = 410;

/// `[[redirects]]`, each with its line.
pub(super) fn redirects(table: &Table<'_>, problems: &mut Vec<Problem>) -> Vec<(usize, Redirect)> {
    let tables = table.tables("redirects", "a list of tables with from and to", problems);
    let mut found = Vec::new();
    for (line, rule) in tables {
        rule.known(&["from", "to", "status"], problems);
        let from = from(&rule, line, problems);
        let status = rule.get("status", "301, 302, 307, 308 or 410", problems, |node| {
            let Data::Whole(number) = node.data else {
                return None;
            };
            let status = u16::try_from(number).ok()?;
            (status == GONE || check_location(status, "/").is_ok()).then_some(status)
        });
        let status = status.unwrap_or(301);
        let to = match status {
            GONE => nowhere(&rule, problems),
            _ => to(&rule, line, problems),
        };
        if let (Some(from), Some(to)) = (from, to) {
            let redirect = Redirect {
                from: from.text,
                to,
                status,
            };
            found.push((from.line, redirect));
        }
    }
    found
}

/// The path that has moved. Servers have other spellings of it lead to the one without a slash at
/// its end.
fn from(rule: &Table<'_>, line: usize, problems: &mut Vec<Problem>) -> Option<Placed> {
    let mut from = needed(rule, line, "from", problems)?;
    if !is_canonical(&from.text) || from.text.contains(['?', '#']) {
        let expected = "a path of this site as people read it, such as /old";
        rule.expected("from", from.line, expected, problems);
        return None;
    }
    if from.text.len() > 1 && from.text.ends_with('/') {
        from.text.pop();
    }
    Some(from)
}

/// Where a redirect leads.
fn to(rule: &Table<'_>, line: usize, problems: &mut Vec<Problem>) -> Option<String> {
    let to = needed(rule, line, "to", problems)?;
    let found = location(&to.text);
    if found.is_none() {
        let expected = "a path of the site or an address that begins with http";
        rule.expected("to", to.line, expected, problems);
    }
    found
}

/// Where what is gone leads.
fn nowhere(rule: &Table<'_>, problems: &mut Vec<Problem>) -> Option<String> {
    match rule.entry("to") {
        None => Some(String::new()),
        Some(entry) => {
            let why = "what is gone (410) has no `redirects.to`".to_owned();
            rule.say(entry.line, why, problems);
            None
        }
    }
}

/// A place to lead to, percent-encoded where it is not. Codes that are there stay.
fn location(to: &str) -> Option<String> {
    if to.chars().any(char::is_control) {
        return None;
    }
    let encode = |c: char| match c {
        c if c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c) => c.to_string(),
        c => escape::percent(c.encode_utf8(&mut [0; 4])),
    };
    let location: String = to.chars().map(encode).collect();
    let path = location.split(['?', '#']).next().unwrap_or_default();
    let is_path = || escape::unpercent(path).is_some_and(|path| is_canonical(&path));
    (is_address(&location) || is_path()).then_some(location)
}

/// Whether somebody can be sent to a place outside of the site.
pub(crate) fn is_address(text: &str) -> bool {
    let host = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    host.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', '?', '#']))
        && check_location(302, text).is_ok()
}

/// `[[headers]]`, each with its line.
pub(super) fn headers(table: &Table<'_>, problems: &mut Vec<Problem>) -> Vec<(usize, HeaderRule)> {
    let tables = table.tables("headers", "a list of tables with path and values", problems);
    let mut found = Vec::new();
    for (line, rule) in tables {
        rule.known(&["path", "values"], problems);
        let path = needed(&rule, line, "path", problems).filter(|path| {
            let good = path.text.starts_with(['/', '*']);
            if !good {
                let expected = "a path of the site, in which * stands for anything";
                rule.expected("path", path.line, expected, problems);
            }
            good
        });
        if rule.entry("values").is_none() {
            rule.say(line, "`headers.values` is missing".to_owned(), problems);
        }
        let mut values = Vec::new();
        if let Some(table) = rule.table("values", problems) {
            for entry in table.entries {
                let Data::Text(value) = &entry.value.data else {
                    table.expected(&entry.key, entry.line, "text", problems);
                    continue;
                };
                // An empty value takes the field away.
                match may_add(&entry.key, value) {
                    true => values.push((entry.key.clone(), value.clone())),
                    false => {
                        let expected = "a header that a site may set, in visible ASCII";
                        table.expected(&entry.key, entry.line, expected, problems);
                    }
                }
            }
        }
        if let Some(Placed { text: path, line }) = path {
            found.push((line, HeaderRule { path, values }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;

    #[test]
    fn rules_become_what_is_sent() {
        let (config, problems) = read(
            "[[redirects]]\nfrom = \"/a b\"\nto = \"/new ü?a=b#c\"\n\
             [[redirects]]\nfrom = \"/größe/\"\nto = \"https://example.org/ü%20\"\nstatus = 307\n\
             [[redirects]]\nfrom = \"/gone\"\nstatus = 410\n\
             [[headers]]\npath = \"/img/*.png\"\nvalues = { X-Frame-Options = \"DENY\", \"Cache-Control\" = \"\" }\n",
        );
        assert_eq!(problems, [""; 0]);
        let redirect = |from: &str, to: &str, status| Redirect {
            from: from.to_owned(),
            to: to.to_owned(),
            status,
        };
        assert_eq!(
            config.redirects,
            [
                (2, redirect("/a b", "/new%20%C3%BC?a=b#c", 301)),
                (5, redirect("/größe", "https://example.org/%C3%BC%20", 307)),
                (9, redirect("/gone", "", 410)),
            ]
        );
        let (line, rule) = &config.headers[0];
        assert_eq!(
            (*line, &*rule.path, rule.values.len()),
            (12, "/img/*.png", 2)
        );
        assert_eq!(read("[[headers]]\npath = \"*\"\nvalues = {}\n").1, [""; 0]);
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let (config, problems) = read(
            "[[redirects]]\nfrom = \"old\"\nto = \"/a\"\n\
             [[redirects]]\nfrom = \"/x\"\nto = \"javascript:1\"\nstatus = 303\n\
             [[redirects]]\nto = 3\n\
             [[headers]]\npath = \"a\"\n\
             [[headers]]\npath = \"/a\"\nvalues = { Content-Length = \"3\", X-A = \"a\\nb\", X-B = 3 }\n\
             [[redirects]]\nfrom = \"/gone\"\nstatus = 410\nto = \"/a\"\n\
             [[redirects]]\nfrom = \"/nowhere\"\n",
        );
        let said: Vec<_> = problems
            .iter()
            .map(|problem| problem.split(" must be").next().unwrap_or_default())
            .collect();
        assert_eq!(
            said,
            [
                "site.toml:2: `redirects.from`",
                "site.toml:6: `redirects.to`",
                "site.toml:7: `redirects.status`",
                "site.toml:8: `redirects.from` is missing",
                "site.toml:9: `redirects.to`",
                "site.toml:10: `headers.values` is missing",
                "site.toml:11: `headers.path`",
                "site.toml:14: `headers.values.Content-Length`",
                "site.toml:14: `headers.values.X-A`",
                "site.toml:14: `headers.values.X-B`",
                "site.toml:18: what is gone (410) has no `redirects.to`",
                "site.toml:19: `redirects.to` is missing",
            ]
        );
        assert_eq!(config.redirects, []);
    }

    #[test]
    fn paths_and_places_that_are_none() {
        for (from, to) in [
            ("/a//b", "/c"),
            ("/a/../b", "/c"),
            ("/a?b", "/c"),
            ("/a#b", "/c"),
            ("/a", "c"),
            ("/a", "//example.org/"),
            ("/a", "https://"),
            ("/a", "/b\\r\\nX: y"),
            ("/a", "/b%0d%0a"),
        ] {
            let (config, problems) = read(&format!(
                "[[redirects]]\nfrom = \"{from}\"\nto = \"{to}\"\n"
            ));
            assert_eq!(
                (config.redirects.len(), problems.len()),
                (0, 1),
                "{from} {to}"
            );
        }
    }

    #[test]
    fn fields_that_are_not_for_sites() {
        for name in [
            "Date",
            "etag",
            "Content-Length",
            "Transfer-Encoding",
            "X A",
            "Connection",
        ] {
            let text = format!("[[headers]]\npath = \"/a\"\nvalues = {{ \"{name}\" = \"x\" }}\n");
            let (config, problems) = read(&text);
            assert_eq!(config.headers[0].1.values, []);
            let expected = format!("site.toml:3: `headers.values.{name}` must be a header");
            assert!(
                problems.len() == 1 && problems[0].starts_with(&expected),
                "{problems:?}"
            );
        }
    }
}
