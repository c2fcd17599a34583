//! Blocks of code.

use pulldown_cmark::CodeBlockKind;

use super::highlight::highlight;
use super::{Markdown, Reader};
use crate::site::escape;

/// A block of code, complete. Only the language of the fence's words is kept: `rust,ignore` is Rust.
/// It can be scrolled sideways, so it can take the focus.
pub(super) fn block(kind: &CodeBlockKind<'_>, code: &str, how: Markdown, reader: Reader) -> String {
    let language: String = match kind {
        CodeBlockKind::Indented => String::new(),
        CodeBlockKind::Fenced(info) => info
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || "+-_#".contains(*c))
            .collect(),
    };
    if reader == Reader::Feed {
        return format!("<pre><code>{}</code></pre>\n", escape::html(code));
    }
    let colours = how.highlight && !language.is_empty();
    let marked = colours.then(|| highlight(&language, code)).flatten();
    let code = marked.unwrap_or_else(|| escape::html(code).into());
    match &*language {
        "" => format!("<pre tabindex=\"0\"><code>{code}</code></pre>\n"),
        _ => {
            format!("<pre tabindex=\"0\"><code class=\"language-{language}\">{code}</code></pre>\n")
        }
    }
}
