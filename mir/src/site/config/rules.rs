//! Redirects and headers of `site.toml`. What the server can send is what it says itself.

use www::pack::{Made, Page, is_canonical};

use super::super::data::Data;
use super::super::escape;
use super::super::table::Table;
use super::super::{Header, Redirect};
use super::needed;
use crate::problem::Problem;

/// `[[redirects]]`, each with its line.
pub(super) fn redirects(table: &Table<'_>, problems: &mut Vec<Problem>) -> Vec<(usize, Redirect)> {
    let tables = table.tables("redirects", "a list of tables with from and to", problems);
    let mut found = Vec::new();
    for (line, rule) in tables {
        rule.known(&["from", "to", "status"], problems);
        let from = needed(&rule, line, "from", problems);
        let to = needed(&rule, line, "to", problems);
        let status = rule.get("status", "301, 302 or 308", problems, |node| {
            match node.data {
                Data::Whole(number) => u16::try_from(number)
                    .ok()
                    .filter(|&status| sends(status, "/")),
                _ => None,
            }
        });
        let from = from.filter(|from| {
            let good = is_path(&from.text) && !from.text.contains(['?', '#']);
            if !good {
                rule.expected(
                    "from",
                    from.line,
                    "a path of the site, such as /old",
                    problems,
                );
            }
            good
        });
        let to = to.filter(|to| {
            let good = is_path(to.text.split(['?', '#']).next().unwrap_or_default())
                || is_address(&to.text);
            if !good {
                let expected = "a path of the site or an address that begins with http";
                rule.expected("to", to.line, expected, problems);
            }
            good
        });
        if let (Some(from), Some(to)) = (from, to) {
            let redirect = Redirect {
                from: escape::unpercent(&from.text).unwrap_or(from.text),
                to: to.text,
                status: status.unwrap_or(301),
            };
            found.push((from.line, redirect));
        }
    }
    found
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && escape::unpercent(text).is_some_and(|path| is_canonical(&path))
}

/// Whether somebody can be sent to a place outside of the site.
pub(crate) fn is_address(text: &str) -> bool {
    let host = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    host.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', '?', '#']))
        && sends(302, text)
}

fn sends(status: u16, to: &str) -> bool {
    Made::redirect(status, to).is_ok()
}

/// `[[headers]]`.
pub(super) fn headers(table: &Table<'_>, problems: &mut Vec<Problem>) -> Vec<Header> {
    let tables = table.tables("headers", "a list of tables with path and values", problems);
    let mut found = Vec::new();
    for (line, rule) in tables {
        rule.known(&["path", "values"], problems);
        let path = needed(&rule, line, "path", problems).filter(|path| {
            let whole = path.text.strip_suffix('*').unwrap_or(&path.text);
            let good = is_path(whole) && !whole.contains('*');
            if !good {
                let expected = "a path of the site, which may end in *";
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
                match is_field(&entry.key, value) {
                    true => values.push((entry.key.clone(), value.clone())),
                    false => {
                        let expected = "a header that a site may set, in visible ASCII";
                        table.expected(&entry.key, entry.line, expected, problems);
                    }
                }
            }
        }
        if let Some(path) = path {
            let path = path.text;
            found.push(Header { path, values });
        }
    }
    found
}

fn is_field(name: &str, value: &str) -> bool {
    let page = Page {
        media_type: "text/plain".to_owned(),
        headers: vec![(name.to_owned(), value.to_owned())],
        ..Page::default()
    };
    Made::page(200, page).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;

    #[test]
    fn rules_are_kept_as_written() {
        let (config, problems) = read(
            "[[redirects]]\nfrom = \"/a%20b\"\nto = \"/c?d\"\n\
             [[redirects]]\nfrom = \"/old/\"\nto = \"https://example.org/x\"\nstatus = 302\n\
             [[headers]]\npath = \"/img/*\"\nvalues = { X-Frame-Options = \"DENY\", \"Cache-Control\" = \"no-cache\" }\n",
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
                (2, redirect("/a b", "/c?d", 301)),
                (5, redirect("/old/", "https://example.org/x", 302)),
            ]
        );
        assert_eq!(config.headers[0].path, "/img/*");
        assert_eq!(config.headers[0].values.len(), 2);
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let (config, problems) = read(
            "[[redirects]]\nfrom = \"old\"\nto = \"/a\"\n\
             [[redirects]]\nfrom = \"/x\"\nto = \"javascript:1\"\nstatus = 200\n\
             [[redirects]]\nto = 3\n\
             [[headers]]\npath = \"/*/a\"\n\
             [[headers]]\npath = \"/a\"\nvalues = { Content-Length = \"3\", X-A = \"a\\nb\", X-B = 3 }\n",
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
            ]
        );
        assert_eq!(config.redirects, []);
    }
}
