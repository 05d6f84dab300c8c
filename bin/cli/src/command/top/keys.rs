//! What keys mean.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::Wish;

/// Rows that a page key moves.
const PAGE: isize = 10;

/// What was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Press {
    /// The user has seen enough.
    Quit,
    /// Something about the view.
    Wish(Wish),
}

/// What a key means, while a filter is typed or not; none for others.
pub fn press(key: KeyEvent, typing: bool) -> Option<Press> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match (key.code, control) {
        (KeyCode::Char('c'), true) => return Some(Press::Quit),
        (KeyCode::Char(_), true) => return None,
        _ => {}
    }
    let wish = match (key.code, typing) {
        (KeyCode::Char(letter), true) => Wish::Type(letter),
        (KeyCode::Backspace, true) => Wish::Erase,
        (KeyCode::Enter, true) => Wish::Accept,
        (KeyCode::Esc, _) => Wish::Clear,
        (KeyCode::Char('q'), false) => return Some(Press::Quit),
        (KeyCode::Char('j'), false) | (KeyCode::Down, _) => Wish::Move(1),
        (KeyCode::Char('k'), false) | (KeyCode::Up, _) => Wish::Move(-1),
        (KeyCode::PageDown, _) => Wish::Move(PAGE),
        (KeyCode::PageUp, _) => Wish::Move(-PAGE),
        (KeyCode::Char('g'), false) | (KeyCode::Home, _) => Wish::First,
        (KeyCode::Char('G'), false) | (KeyCode::End, _) => Wish::Last,
        (KeyCode::Char(' '), false) | (KeyCode::Enter, false) => Wish::Fold,
        (KeyCode::Char('s'), false) => Wish::Sort,
        (KeyCode::Char('a'), false) => Wish::Actors,
        (KeyCode::Char('/'), false) => Wish::Filter,
        _ => return None,
    };
    Some(Press::Wish(wish))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(code: KeyCode, typing: bool) -> Option<Press> {
        press(KeyEvent::new(code, KeyModifiers::NONE), typing)
    }

    #[test]
    fn letters_are_commands_but_while_a_filter_is_typed() {
        assert_eq!(plain(KeyCode::Char('q'), false), Some(Press::Quit));
        assert_eq!(plain(KeyCode::Char('q'), true), Some(Press::Wish(Wish::Type('q'))));
        assert_eq!(plain(KeyCode::Char('x'), false), None);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(press(interrupt, true), Some(Press::Quit));
    }
}
