//! What a question and its answer on the wire have in common, purely.

/// Bytes of a header (RFC 1035, 4.1.1).
const HEADER: usize = 12;
/// Bytes of a name with its last, empty label (RFC 1035, 2.3.4).
const NAME: usize = 255;
const RESPONSE: u8 = 0x80;
const CODE: u8 = 0x0f;
const SERVER_FAILURE: u8 = 2;
const REFUSED: u8 = 5;

/// Whether a server's answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// It is handed on.
    Answer,
    /// The next server may know better (as in moby).
    Failure,
    /// It answers something else: it is late, or forged.
    Nothing,
}

/// The question as it stands: name, type and class.
fn question(message: &[u8]) -> Option<&[u8]> {
    let body = message.get(HEADER..)?;
    let mut at = 0;
    loop {
        match usize::from(*body.get(at)?) {
            0 => return body.get(..at + 5),
            label @ 1..=63 if at + label < NAME => at += label + 1,
            // A first name has nothing to point to.
            _ => return None,
        }
    }
}

fn is_same(asked: &[u8], answered: &[u8]) -> bool {
    const FIXED: usize = 4;
    let cut = asked.len().saturating_sub(FIXED);
    asked.len() == answered.len()
        && asked.get(cut..) == answered.get(cut..)
        && asked.get(..cut).zip(answered.get(..cut)).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
}

/// What an answer is to a question with the same number.
pub fn worth(asked: &[u8], answer: &[u8]) -> Worth {
    let [a, b, flags, more, high, low, ..] = answer else { return Worth::Nothing };
    if answer.len() < HEADER || asked.get(..2) != Some(&[*a, *b]) || flags & RESPONSE == 0 {
        return Worth::Nothing;
    }
    let code = more & CODE;
    // Servers that refuse or do not understand may leave the question out.
    let bare = code != 0 && [*high, *low] == [0, 0];
    let same =
        || question(asked).zip(question(answer)).is_some_and(|(asked, answered)| is_same(asked, answered));
    match code {
        _ if !bare && !same() => Worth::Nothing,
        SERVER_FAILURE | REFUSED => Worth::Failure,
        _ => Worth::Answer,
    }
}

/// What is told by somebody who cannot read a query as a whole, or answer it: its question again, and why. Too short for
/// a header, or an answer itself, is no query at all.
pub fn failure(query: &[u8], code: u8) -> Option<Vec<u8>> {
    const QUERY_AND_RECURSION: u8 = 0x79;
    const RECURSION_AVAILABLE: u8 = 0x80;
    let [high, low, flags, ..] = query else { return None };
    if query.len() < HEADER || flags & RESPONSE != 0 {
        return None;
    }
    let question = question(query).filter(|_| query.get(4..6) == Some(&[0, 1]));
    let count = u8::from(question.is_some());
    let mut out = vec![*high, *low, RESPONSE | (flags & QUERY_AND_RECURSION), RECURSION_AVAILABLE | code];
    out.extend([0, count, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(question.unwrap_or_default());
    Some(out)
}

/// The same message under another number.
pub fn numbered(message: &[u8], id: [u8; 2]) -> Vec<u8> {
    let mut out = message.to_vec();
    if let Some(place) = out.get_mut(..2) {
        place.copy_from_slice(&id);
    }
    out
}

/// A message's number.
pub fn id(message: &[u8]) -> [u8; 2] {
    match message {
        [high, low, ..] => [*high, *low],
        _ => [0, 0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";

    fn answer(edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = ASKED.to_vec();
        out[2] |= RESPONSE;
        edit(&mut out);
        out
    }

    #[test]
    fn an_answer_has_the_number_and_the_question_of_what_was_asked() {
        assert_eq!(worth(ASKED, &answer(|_| ())), Worth::Answer);
        assert_eq!(worth(ASKED, &answer(|a| a[13..20].make_ascii_uppercase())), Worth::Answer);
        assert_eq!(worth(ASKED, &answer(|a| a.extend([0xc0; 30]))), Worth::Answer);
        for forged in [
            answer(|a| a[0] ^= 1),
            answer(|a| a[13] = b'f'),
            answer(|a| a[26] = 28),
            answer(|a| a[2] = 1),
            answer(|a| a.truncate(20)),
            answer(|a| a.truncate(3)),
            answer(|a| a[12] = 0xc0),
            answer(|a| a[5] = 0)[..12].to_vec(),
        ] {
            assert_eq!(worth(ASKED, &forged), Worth::Nothing, "{forged:?}");
        }
    }

    #[test]
    fn failures_are_for_the_next_server_and_what_is_not_there_is_an_answer() {
        for (code, wanted) in
            [(2, Worth::Failure), (5, Worth::Failure), (3, Worth::Answer), (1, Worth::Answer)]
        {
            assert_eq!(worth(ASKED, &answer(|a| a[3] |= code)), wanted, "{code}");
            let bare = answer(|a| {
                a[3] |= code;
                a[5] = 0;
                a.truncate(12);
            });
            assert_eq!(worth(ASKED, &bare), wanted, "{code} without its question");
        }
    }

    #[test]
    fn a_failure_is_told_with_the_question() {
        let told = failure(ASKED, 2).unwrap();
        assert_eq!(
            (worth(ASKED, &told), &told[2..4], told.len()),
            (Worth::Failure, &[0x81, 0x82][..], ASKED.len())
        );
        let cut = failure(&ASKED[..16], 1).unwrap();
        assert_eq!((&cut[..4], &cut[4..]), (&[0x12, 0x34, 0x81, 0x81][..], &[0; 8][..]));
        assert_eq!((failure(&told, 2), failure(&ASKED[..11], 2)), (None, None));
    }

    #[test]
    fn a_number_is_changed_and_nothing_else() {
        let other = numbered(ASKED, [9, 8]);
        assert_eq!((id(&other), &other[2..]), ([9, 8], &ASKED[2..]));
        assert_eq!(numbered(&[1], [9, 8]), [1]);
    }
}
