//! Tables, with their columns aligned by classes: a strict policy for content forbids styles in
//! attributes.

use pulldown_cmark::{Alignment, Event, Tag, TagEnd};

use super::{Reader, Work};

impl<'w, S> Work<'w, S> {
    /// A table that is too wide can be scrolled, so it can take the focus.
    pub(super) fn table(&mut self, columns: Vec<Alignment>, out: &mut Vec<Event<'w>>) {
        self.columns = columns;
        let open = match self.reader {
            Reader::Page => {
                "<div class=\"table\" tabindex=\"0\" role=\"region\" aria-label=\"Table\"><table>"
            }
            Reader::Feed => "<table>",
        };
        out.push(Event::Html(open.into()));
    }

    pub(super) fn row(&mut self, tag: &Tag<'w>, out: &mut Vec<Event<'w>>) {
        self.in_head = matches!(tag, Tag::TableHead);
        self.column = 0;
        let open = if self.in_head { "<thead><tr>" } else { "<tr>" };
        out.push(Event::Html(open.into()));
    }

    pub(super) fn cell(&mut self, out: &mut Vec<Event<'w>>) {
        let class = match self.columns.get(self.column) {
            Some(Alignment::Left) => " class=\"left\"",
            Some(Alignment::Center) => " class=\"center\"",
            Some(Alignment::Right) => " class=\"right\"",
            Some(Alignment::None) | None => "",
        };
        self.column += 1;
        let open = match self.in_head {
            true => format!("<th scope=\"col\"{class}>"),
            false => format!("<td{class}>"),
        };
        out.push(Event::InlineHtml(open.into()));
    }

    pub(super) fn table_end(&mut self, tag: TagEnd, out: &mut Vec<Event<'w>>) {
        let close = match tag {
            TagEnd::TableCell if self.in_head => "</th>",
            TagEnd::TableCell => "</td>",
            TagEnd::TableHead => "</tr></thead><tbody>\n",
            TagEnd::TableRow => "</tr>\n",
            _ if self.reader == Reader::Page => "</tbody></table></div>\n",
            _ => "</tbody></table>\n",
        };
        out.push(Event::Html(close.into()));
    }
}
