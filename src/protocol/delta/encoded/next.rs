//! The frame that comes next in a stream: all of it but its data is known from the one before.

use super::{DECLARED_END, EncodedDelta, Form, SORTED_START, START};

/// What follows `seq` in front of the data, in the declared order.
const BEHIND_NUMBER: &[u8] = b",\"deltaBase64\":\"";

/// A data frame but for its data.
///
/// What matches, [`EncodedDelta::find`] finds too: it is the frame that was learned from, with one more in place of its number.
#[derive(Debug, Default)]
pub struct NextDelta {
    /// What is in front of the data.
    start: Vec<u8>,
    /// What is behind it.
    end: Vec<u8>,
    /// Where the number is; `None` when nothing is known.
    number: Option<Number>,
}

/// The last digit of the number.
#[derive(Clone, Copy, Debug)]
enum Number {
    /// In front of the data, at this place.
    Start(usize),
    /// Behind it, at this place.
    End(usize),
}

impl NextDelta {
    /// Learns from a frame that was found what the next one is; nothing, where its form is not one of the two usual ones.
    pub fn learn(&mut self, frame: &[u8], delta: &EncodedDelta<'_>) {
        let text = match delta.form {
            Form::Declared => frame.len() - DECLARED_END.len() - delta.text.len(),
            Form::Sorted => START.len() + SORTED_START.len(),
            Form::Other => return self.number = None,
        };
        let (start, end) = (&frame[..text], &frame[text + delta.text.len()..]);
        self.start.clear();
        self.start.extend_from_slice(start);
        self.end.clear();
        self.end.extend_from_slice(end);
        self.number = Some(match delta.form {
            Form::Declared => Number::Start(start.len() - BEHIND_NUMBER.len() - 1),
            Form::Sorted | Form::Other => Number::End(end.len() - b"}}".len() - 1),
        });
        self.step();
    }

    /// The base64 text of the next frame, if this is it. Then the one behind it is the next.
    #[inline]
    pub fn take<'a>(&mut self, frame: &'a [u8]) -> Option<&'a [u8]> {
        self.number?;
        let text = frame.strip_prefix(&*self.start)?.strip_suffix(&*self.end)?;
        self.step();
        Some(text)
    }

    /// One more. A number that grows longer is not followed.
    #[inline]
    fn step(&mut self) {
        let (digits, last) = match self.number {
            Some(Number::Start(last)) => (&mut self.start, last),
            Some(Number::End(last)) => (&mut self.end, last),
            None => return,
        };
        for digit in digits[..=last].iter_mut().rev() {
            match digit {
                b'0'..=b'8' => return *digit += 1,
                b'9' => *digit = b'0',
                _ => return self.number = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::delta::DELTA_METHOD;

    #[test]
    fn the_next_frames_are_known_while_the_number_is_as_long() {
        let declared = |seq| {
            format!(
                r#"{{"method":"{DELTA_METHOD}","params":{{"requestId":"r9","seq":{seq},"deltaBase64":"aGk=","done":false,"error":null}}}}"#
            )
        };
        let sorted = |seq| {
            format!(
                r#"{{"method":"{DELTA_METHOD}","params":{{"deltaBase64":"aGk=","done":false,"error":null,"requestId":"r9","seq":{seq}}}}}"#
            )
        };
        let frames: [&dyn Fn(u64) -> String; 2] = [&declared, &sorted];
        for frame in frames {
            let first = frame(108);
            let delta = EncodedDelta::find(first.as_bytes()).expect("a usual form");
            let mut next = NextDelta::default();
            assert_eq!(next.take(first.as_bytes()), None, "nothing is known");
            next.learn(first.as_bytes(), &delta);
            assert_eq!(next.take(first.as_bytes()), None, "not the same again");
            assert_eq!(next.take(frame(110).as_bytes()), None, "not the one behind the next");
            for seq in 109..=999 {
                assert_eq!(next.take(frame(seq).as_bytes()), Some(&b"aGk="[..]), "{seq}");
            }
            for wrong in [frame(0), frame(1000), frame(999)] {
                assert_eq!(next.take(wrong.as_bytes()), None);
            }
        }
    }

    #[test]
    fn start_and_end_may_not_overlap() {
        let frame = format!(
            r#"{{"method":"{DELTA_METHOD}","params":{{"requestId":"r","seq":1,"deltaBase64":"","done":false,"error":null}}}}"#
        );
        let mut next = NextDelta::default();
        next.learn(frame.as_bytes(), &EncodedDelta::find(frame.as_bytes()).expect("a usual form"));
        let cut = frame.replace(":1,", ":2,").replacen("\"\"", "\"", 1);
        assert_eq!(next.take(cut.as_bytes()), None);
    }
}
