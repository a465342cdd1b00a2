//! Counts many texts in another in one pass, with a table of what the next byte leads to. Made once for a policy.

use std::collections::HashMap;

/// A text that is searched.
pub struct Sign {
    /// Not empty.
    pub text: Vec<u8>,
    /// Where it is counted.
    pub feature: usize,
    /// Whether it counts each time that it is there; else only once. No two that count overlap.
    pub each: bool,
    /// Whether the ASCII letters of the text in which it is searched are put in lower case before.
    pub folded: bool,
}

/// A sign, by its index, and how many of its bytes have been found.
type Begun = (usize, usize);

/// As many as indices of 16 bits, which therefore need no check.
const CELLS: usize = 1 << 16;

pub struct Signs {
    signs: Vec<Sign>,
    /// Bytes that continue the same signs are of one class.
    class_of: [u8; 256],
    /// One row for each set of signs that can be begun; its columns say which row follows after a byte of each class.
    /// Rows are known by where they start.
    next: Box<[u16; CELLS]>,
    /// Columns, a power of two.
    width: usize,
    /// The first of the rows that are reached by the last byte of a sign.
    first_ended: u16,
    /// The signs that end in each of those.
    ended: Vec<Vec<usize>>,
}

impl Signs {
    /// None when there are too many of them: some thousand bytes in all.
    pub fn new(signs: Vec<Sign>) -> Option<Self> {
        let (class_of, classes) = classes(&signs);
        let width = classes.len();

        // What can be begun at a time, and the number of what it becomes by each class. Nothing is the first.
        let (mut states, mut following) = (vec![Vec::new()], Vec::new());
        let mut numbers = HashMap::from([(Vec::new(), 0)]);
        while let Some(state) = states.get(following.len() / width).cloned() {
            for (class, continued) in classes.iter().enumerate() {
                let is_continued = |begun: &Begun| continued.binary_search(begun).is_ok();
                if !state.is_empty() && !state.iter().any(is_continued) {
                    following.push(following[class]);
                    continue;
                }
                let is_begun = |begun: &&Begun| begun.1 == 0 || state.contains(begun);
                let begun: Vec<Begun> = continued
                    .iter()
                    .filter(is_begun)
                    .map(|&(sign, size)| (sign, size + 1))
                    .collect();
                following.push(*numbers.entry(begun).or_insert_with_key(|begun| {
                    states.push(begun.clone());
                    states.len() - 1
                }));
            }
        }

        let ended_in = |number: usize| {
            let is_ended = |begun: &&Begun| signs[begun.0].text.len() == begun.1;
            states[number]
                .iter()
                .filter(is_ended)
                .map(|begun| begun.0)
                .collect::<Vec<_>>()
        };
        let (others, ending): (Vec<_>, Vec<_>) = (0..states.len()).partition(|&number| ended_in(number).is_empty());
        let order = [&others[..], &ending].concat();
        let columns = width.next_power_of_two();
        let mut row_of = vec![0; states.len()];
        for (place, &number) in order.iter().enumerate() {
            row_of[number] = u16::try_from(place * columns).ok()?;
        }
        let mut next = vec![0; CELLS];
        for (number, row) in following.chunks_exact(width).enumerate() {
            for (class, &after) in row.iter().enumerate() {
                next[usize::from(row_of[number]) + class] = row_of[after];
            }
        }
        Some(Signs {
            class_of,
            next: next.into_boxed_slice().try_into().ok()?,
            width: columns,
            first_ended: u16::try_from(others.len() * columns).unwrap_or(u16::MAX),
            ended: ending.iter().map(|&number| ended_in(number)).collect(),
            signs,
        })
    }

    /// Adds to the count of each feature what is found in the two pieces of one text.
    pub fn count(&self, pieces: [&[u8]; 2], counts: &mut [u32]) {
        let mut ends = vec![0; self.signs.len()];
        let (mut row, mut end) = (0, 0);
        for piece in pieces {
            // Four at a time, as counting bytes costs as much as looking at them.
            let mut fours = piece.chunks_exact(4);
            for four in &mut fours {
                for (place, &byte) in four.iter().enumerate() {
                    row = self.step(row, byte, end + place + 1, &mut ends, counts);
                }
                end += 4;
            }
            for &byte in fours.remainder() {
                end += 1;
                row = self.step(row, byte, end, &mut ends, counts);
            }
        }
    }

    /// The row after the byte, which ends there.
    #[inline(always)]
    fn step(&self, row: u16, byte: u8, end: usize, ends: &mut [usize], counts: &mut [u32]) -> u16 {
        let row = self.next[usize::from(row | u16::from(self.class_of[usize::from(byte)]))];
        if row >= self.first_ended {
            self.note(row, end, ends, counts);
        }
        row
    }

    /// `ends`: where each sign ended that was counted last.
    #[cold]
    #[inline(never)]
    fn note(&self, row: u16, end: usize, ends: &mut [usize], counts: &mut [u32]) {
        for &number in &self.ended[usize::from(row - self.first_ended) / self.width] {
            let (sign, last) = (&self.signs[number], &mut ends[number]);
            if *last == 0 || sign.each && end - sign.text.len() >= *last {
                *last = end;
                counts[sign.feature] += 1;
            }
        }
    }
}

/// The class of each byte, and what each class continues.
fn classes(signs: &[Sign]) -> ([u8; 256], Vec<Vec<Begun>>) {
    let (mut class_of, mut classes) = ([0; 256], Vec::<Vec<Begun>>::new());
    for (byte, class) in (0..=u8::MAX).zip(&mut class_of) {
        let continued = continued(signs, byte);
        let known = classes.iter().position(|class| *class == continued);
        *class = known.unwrap_or(classes.len()) as u8;
        if known.is_none() {
            classes.push(continued);
        }
    }
    (class_of, classes)
}

fn continued(signs: &[Sign], byte: u8) -> Vec<Begun> {
    let folded = byte.to_ascii_lowercase();
    let places = signs.iter().enumerate().flat_map(|(number, sign)| {
        let found = if sign.folded { folded } else { byte };
        sign.text
            .iter()
            .enumerate()
            .filter(move |(_, wanted)| **wanted == found)
            .map(move |(at, _)| (number, at))
    });
    places.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(signs: &[(&str, bool, bool)], head: &str, tail: &str) -> Vec<u32> {
        let sign = |(feature, &(text, each, folded)): (usize, &(&str, bool, bool))| Sign {
            text: text.as_bytes().to_vec(),
            feature,
            each,
            folded,
        };
        let mut counts = vec![0; signs.len()];
        Signs::new(signs.iter().enumerate().map(sign).collect())
            .unwrap()
            .count([head.as_bytes(), tail.as_bytes()], &mut counts);
        counts
    }

    #[test]
    fn signs_are_found_inside_of_each_other() {
        let signs = ["she", "he", "hers", "s", "ushers", "x"].map(|text| (text, true, false));
        assert_eq!(counted(&signs, "ushers", " he"), [1, 2, 1, 2, 1, 0]);
    }

    #[test]
    fn equal_signs_do_not_overlap() {
        assert_eq!(
            counted(&[("aa", true, false), ("aba", true, false)], "aaaa", "aababab"),
            [3, 1]
        );
    }

    #[test]
    fn signs_count_once_unless_each_time_does() {
        assert_eq!(counted(&[("a", false, false), ("a", true, false)], "aXa", "a"), [1, 3]);
    }

    #[test]
    fn only_what_is_folded_is_found_in_both_cases() {
        let signs = [
            ("ab", true, true),
            ("ab", true, false),
            ("AB", true, false),
            ("AB", true, true),
        ];
        assert_eq!(counted(&signs, "abAB", "aBAb"), [4, 1, 1, 0]);
    }

    #[test]
    fn pieces_are_one_text() {
        assert_eq!(counted(&[("abc", true, false)], "ab", "c"), [1]);
        assert_eq!(counted(&[], "ab", "c"), []);
    }
}
