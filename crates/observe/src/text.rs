//! Text from outside, made fit for a report.

/// Characters of foreign text that a message repeats.
pub(crate) const EXCERPT: usize = 500;

/// `text` in one line of at most `limit` characters, with nothing in it that a terminal would act on: control characters and
/// those that reorder or hide text are replaced, white space is squeezed.
pub(crate) fn harmless(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    let mut length = 0;
    let mut gap = false;
    for c in text.trim().chars() {
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        if length + usize::from(gap) >= limit {
            shown.push('…');
            break;
        }
        if gap {
            shown.push(' ');
            length += 1;
            gap = false;
        }
        shown.push(if is_harmless(c) { c } else { '\u{fffd}' });
        length += 1;
    }
    shown
}

fn is_harmless(c: char) -> bool {
    let invisible = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_is_left() {
        let text = "  red \u{1b}[31malert\r\n\tnext\u{202e}line\u{0}\u{9b}  ";
        assert_eq!(
            harmless(text, 100),
            "red \u{fffd}[31malert next\u{fffd}line\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(harmless("ab cd ef", 5), "ab cd…");
        assert_eq!(harmless("äöüß", 3), "äöü…");
        assert_eq!(harmless("äöü", 3), "äöü");
    }
}
