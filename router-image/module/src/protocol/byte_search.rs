//! Finds what ends a run of plain text in a JSON string. Nearly all of a request is such text, so this alone looks at
//! many bytes with each instruction: those used here are in every x86-64.

const BLOCK: usize = 16;

/// The first place from `from` on of a quote, a backslash or a control character; the end if there is none.
#[inline]
pub fn special(bytes: &[u8], from: usize) -> usize {
    let (mut at, mut blocks) = (from, bytes[from..].chunks_exact(BLOCK));
    for block in &mut blocks {
        if let Some(place) = block.try_into().ok().and_then(special_in) {
            return at + place;
        }
        at += BLOCK;
    }
    at + plain(blocks.remainder())
}

/// How many bytes come before the first special one.
fn plain(bytes: &[u8]) -> usize {
    let is_plain = |byte: &&u8| **byte >= b' ' && **byte != b'"' && **byte != b'\\';
    bytes.iter().take_while(is_plain).count()
}

#[cfg(not(target_arch = "x86_64"))]
fn special_in(block: &[u8; BLOCK]) -> Option<usize> {
    Some(plain(block)).filter(|place| *place < BLOCK)
}

#[cfg(target_arch = "x86_64")]
// The compilers that build this make nothing as fast of safe code: a request costs the module up to a sixth more.
#[allow(unsafe_code)]
#[inline]
fn special_in(block: &[u8; BLOCK]) -> Option<usize> {
    use std::arch::x86_64::*;

    // The one bit exchanges the quote with the blank, which puts it next to the control characters; the other is the
    // sign, as bytes are compared as signed numbers.
    const FLIPPED: u8 = 0x82;
    const LOW_END: u8 = (b' ' + 1) ^ 0x80;
    const BACKSLASH: u8 = b'\\' ^ FLIPPED;
    // SAFETY: the load takes the bytes of the block and no others, aligned or not; the rest is arithmetic.
    let found = unsafe {
        let flipped = _mm_xor_si128(_mm_loadu_si128(block.as_ptr().cast()), _mm_set1_epi8(FLIPPED as i8));
        let low = _mm_cmpgt_epi8(_mm_set1_epi8(LOW_END as i8), flipped);
        let backslash = _mm_cmpeq_epi8(flipped, _mm_set1_epi8(BACKSLASH as i8));
        _mm_movemask_epi8(_mm_or_si128(low, backslash))
    };
    // A bit for each special byte, the lowest for the first.
    (found != 0).then(|| found.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_looked_at_as_bytes_are() {
        // Each byte at each place, after plain text and before a text of all sorts.
        for byte in 0..=u8::MAX {
            for place in 0..3 * BLOCK {
                let mut bytes = vec![b'a'; place];
                bytes.extend((byte..=u8::MAX).chain(0..byte).take(2 * BLOCK));
                for from in 0..=bytes.len() {
                    assert_eq!(special(&bytes, from), from + plain(&bytes[from..]), "{bytes:?} {from}");
                }
            }
        }
    }

    #[test]
    fn the_first_special_byte_is_found() {
        assert_eq!(special("a b!#[]é\u{7f}\n\"\\".as_bytes(), 0), 10);
        assert_eq!(special(b"\"plain\\", 1), 6);
        assert_eq!(special(b"plain", 5), 5);
    }
}
