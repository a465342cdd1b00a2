//! Hashes text eight bytes at a time: short, and good enough to spread prefixes over engines and over per cents.

/// Odd, with as many bits on as off (2^64 by the golden ratio).
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

pub fn hash(text: &[u8]) -> u32 {
    let mut words = text.chunks_exact(8);
    let mut hash = FACTOR;
    for word in &mut words {
        hash = word
            .try_into()
            .map_or(hash, |word| mixed(hash, u64::from_le_bytes(word)));
    }
    for &byte in words.remainder() {
        hash = mixed(hash, byte.into());
    }
    mixed(hash, text.len() as u64) as u32
}

/// A product's low half knows nothing of the high halves of its factors: they are folded in.
fn mixed(hash: u64, word: u64) -> u64 {
    let product = (hash ^ word).wrapping_mul(FACTOR);
    product ^ (product >> 32)
}

/// Eight hexadecimal ones.
pub fn digits(number: u32) -> [u8; 8] {
    let mut digits = [0; 8];
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (4 * place) & 0xF) as usize];
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_hexadecimal() {
        assert_eq!(&digits(0x0123_beef), b"0123beef");
    }

    #[test]
    fn every_byte_and_the_length_count() {
        let texts: [&[u8]; 8] = [
            b"",
            b"\0",
            b"\0\0\0\0\0\0\0\0",
            b"\0\0\0\0\0\0\0\0\0",
            b"12345678",
            b"12345679",
            b"123456789",
            b"123456780",
        ];
        let mut hashes = texts.map(hash).to_vec();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), texts.len());
    }
}
