//! HTML of any kind as XHTML that is well formed, with absolute addresses, for feeds.
//!
//! Pages may hold whatever browsers forgive; readers of XML forgive nothing. What runs, loads or
//! asks for something is left out, and drawings too: readers show them badly or not at all.

use std::cell::RefCell;
use std::fmt::Write;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts, states,
};

use super::escape;
use super::pages::parent;

/// Elements that have no end.
const VOID: &[&str] = &[
    "area", "br", "col", "hr", "img", "input", "source", "track", "wbr",
];
/// Elements that are left out, with what is in them.
const LEFT_OUT: &[&str] = &[
    "script", "style", "iframe", "object", "noscript", "template", "head", "title", "svg", "math",
    "form", "button", "select", "textarea", "dialog", "canvas",
];
/// Tags that are left out, but not what is between them.
const IGNORED: &[&str] = &[
    "html", "body", "base", "embed", "link", "meta", "frameset", "frame", "param",
];
/// Elements that end where the next of them begins.
const NEXT_ENDS: &[&[&str]] = &[
    &["li"],
    &["dt", "dd"],
    &["td", "th"],
    &["tr"],
    &["thead", "tbody", "tfoot"],
    &["p"],
    &["option"],
];
/// Attributes that are addresses.
const ADDRESSES: &[&str] = &["href", "src", "poster", "cite"];
/// Attributes that are kept besides.
const KEPT: &[&str] = &[
    "alt", "title", "width", "height", "lang", "dir", "colspan", "rowspan", "scope", "start",
    "value", "datetime", "controls", "type", "checked", "disabled", "open", "reversed", "abbr",
];
/// Elements within elements that are told apart; deeper ones are not written.
const MAX_DEPTH: usize = 200;

/// Makes of `html` what may stand in XML. Addresses in it are those of the page at `path` of the
/// site at `base`.
pub(crate) fn xhtml(html: &str, base: &str, path: &str) -> String {
    let sink = Writer {
        base: base.to_owned(),
        path: path.to_owned(),
        state: RefCell::default(),
    };
    let tokens = Tokenizer::new(sink, TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(html));
    let _ = tokens.feed(&input);
    tokens.end();
    let mut state = tokens.sink.state.take();
    state.close_to(0);
    state.out
}

struct Writer {
    base: String,
    path: String,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    out: String,
    open: Vec<String>,
    /// Elements that are left out, and those within them.
    left_out: Vec<String>,
}

impl State {
    fn close_to(&mut self, depth: usize) {
        while self.open.len() > depth {
            let name = self.open.pop().unwrap_or_default();
            let _ = write!(self.out, "</{name}>");
        }
    }
}

impl TokenSink for Writer {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.state.borrow_mut();
        match token {
            Token::CharacterTokens(text) if state.left_out.is_empty() => {
                state.out.push_str(&escape::html(&text));
            }
            Token::TagToken(tag) => return self.tag(&mut state, &tag),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl Writer {
    fn tag(&self, state: &mut State, tag: &Tag) -> TokenSinkResult<()> {
        let name = &*tag.name;
        let is_void = VOID.contains(&name);
        match tag.kind {
            TagKind::EndTag if !state.left_out.is_empty() => {
                if let Some(at) = state.left_out.iter().rposition(|open| open == name) {
                    state.left_out.truncate(at);
                }
            }
            TagKind::EndTag => {
                if let Some(at) = state.open.iter().rposition(|open| open == name) {
                    state.close_to(at);
                }
            }
            TagKind::StartTag if LEFT_OUT.contains(&name) => {
                if state.left_out.len() < MAX_DEPTH && !tag.self_closing {
                    state.left_out.push(name.to_owned());
                }
                return raw(name);
            }
            TagKind::StartTag if !state.left_out.is_empty() => {}
            TagKind::StartTag if IGNORED.contains(&name) || !is_name(name) => {}
            TagKind::StartTag if is_void => self.open(state, tag, "/>"),
            TagKind::StartTag => {
                let ends = NEXT_ENDS.iter().find(|group| group.contains(&name));
                let last = state.open.last();
                if ends.is_some_and(|group| last.is_some_and(|last| group.contains(&&**last))) {
                    let depth = state.open.len() - 1;
                    state.close_to(depth);
                }
                if state.open.len() < MAX_DEPTH {
                    self.open(state, tag, ">");
                    state.open.push(name.to_owned());
                }
            }
        }
        TokenSinkResult::Continue
    }

    fn open(&self, state: &mut State, tag: &Tag, end: &str) {
        let _ = write!(state.out, "<{}", &*tag.name);
        for attribute in &tag.attrs {
            let name = &*attribute.name.local;
            let value = if ADDRESSES.contains(&name) {
                match self.address(&attribute.value) {
                    Some(url) => url,
                    None => continue,
                }
            } else if KEPT.contains(&name) {
                attribute.value.to_string()
            } else {
                continue;
            };
            let _ = write!(state.out, " {name}=\"{}\"", escape::html(&value));
        }
        state.out.push_str(end);
    }

    /// An address as it is from anywhere; `None` for one that runs something.
    fn address(&self, link: &str) -> Option<String> {
        let link = link.trim();
        let base = &self.base;
        let page = escape::percent(&self.path);
        let scheme = link.split(['/', '?', '#']).next()?.split_once(':');
        let whole = match scheme {
            Some((scheme, _)) => {
                let known = ["http", "https", "mailto", "tel", "ftp", "xmpp", "data"];
                known
                    .contains(&&*scheme.to_ascii_lowercase())
                    .then(|| link.to_owned())?
            }
            None if link.starts_with("//") => format!("https:{link}"),
            None if link.starts_with('/') => format!("{base}{link}"),
            None if link.is_empty() || link.starts_with(['#', '?']) => {
                format!("{base}{page}{link}")
            }
            None => format!("{base}{}/{link}", parent(&page).trim_end_matches('/')),
        };
        Some(escape::ascii(&whole))
    }
}

/// How the inside of an element is read that holds no elements.
fn raw(name: &str) -> TokenSinkResult<()> {
    TokenSinkResult::RawData(match name {
        "script" => states::RawKind::ScriptData,
        "style" | "iframe" | "noscript" => states::RawKind::Rawtext,
        "title" | "textarea" => states::RawKind::Rcdata,
        _ => return TokenSinkResult::Continue,
    })
}

/// Whether XML takes a name; those with a colon would be names of something else.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(html: &str) -> String {
        xhtml(html, "https://a.b", "/blog/x y")
    }

    #[test]
    fn all_that_is_open_is_closed() {
        for (html, xml) in [
            ("<p>a<br>b", "<p>a<br/>b</p>"),
            ("<ul><li>a<li>b</ul>c", "<ul><li>a</li><li>b</li></ul>c"),
            ("a</b>&nbsp;&amp;&lt;é\u{1}", "a\u{a0}&amp;&lt;é"),
            ("<b><i>x</b>y</i>", "<b><i>x</i></b>y"),
            (
                "<a href=x onclick=y href=z A:B=c>t",
                "<a href=\"https://a.b/blog/x\">t</a>",
            ),
            (
                "<script>if (a<b) x</script>c<svg><path/><p>d</p></svg>e",
                "ce",
            ),
            ("<o:p>a</o:p><x-y>b", "a<x-y>b</x-y>"),
            ("<!-- a --><![CDATA[x]]><?php y ?>z", "z"),
        ] {
            assert_eq!(at(html), xml, "{html}");
        }
    }

    #[test]
    fn addresses_are_whole() {
        for (link, whole) in [
            ("/x", "https://a.b/x"),
            ("#y", "https://a.b/blog/x%20y#y"),
            ("y", "https://a.b/blog/y"),
            ("//c/d", "https://c/d"),
            ("HTTP://c/ü", "HTTP://c/%C3%BC"),
            ("mailto:a@b", "mailto:a@b"),
        ] {
            assert_eq!(
                at(&format!("<img src=\"{link}\">")),
                format!("<img src=\"{whole}\"/>")
            );
        }
        assert_eq!(at("<a href=\"JavaScript:1\">a</a>"), "<a>a</a>");
    }

    proptest! {
        #[test]
        fn anything_becomes_xml(parts in proptest::collection::vec(prop_oneof![
            "[<>&/a-z\"'= !?-]{0,12}", "\\PC{0,4}",
            proptest::sample::select(vec!["<p>", "</p>", "<b ", "<svg>", "<td>", "<li>", "<script>", "</script>", "<!--", "&#0;", "&#x1f;", "]]>", "<br/>", "\u{0}", "\u{c}"]).prop_map(str::to_owned),
        ], 0..30)) {
            let xml = format!("<div>{}</div>", at(&parts.concat()));
            prop_assert!(roxmltree::Document::parse(&xml).is_ok(), "{xml}");
        }
    }
}
