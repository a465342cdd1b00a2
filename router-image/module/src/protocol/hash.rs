//! Hashes of what conversations begin with: linear in its length, two multiplications for each 32 bytes, and good enough to
//! spread conversations over engines and over per cents. Not a secret: who wants to meet an engine can.

/// Odd, and without a pattern: 2^64 by the golden ratio and by the square roots of 2, 3 and 5.
const FACTORS: [u64; 4] = [
    0x9e37_79b9_7f4a_7c15,
    0xb504_f333_f9de_6485,
    0x93cd_3a2c_8198_e269,
    0x727c_9716_ffb7_64d5,
];

/// Bytes that are taken at a time.
const BLOCK: usize = 32;

/// A hash of a text.
pub fn hash(text: &[u8]) -> u64 {
    let (mut even, mut odd) = (FACTORS[0], FACTORS[1]);
    let mut blocks = text.chunks_exact(BLOCK);
    for block in &mut blocks {
        even = product(even ^ word(block, 0), FACTORS[2] ^ word(block, 8));
        odd = product(odd ^ word(block, 16), FACTORS[3] ^ word(block, 24));
    }
    let rest = blocks.remainder();
    let (first, second) = rest.split_at(rest.len().min(BLOCK / 2));
    let [one, other] = ends(first);
    even = product(even ^ one, FACTORS[2] ^ other);
    if !second.is_empty() {
        let [one, other] = ends(second);
        odd = product(odd ^ one, FACTORS[3] ^ other);
    }
    product(even ^ FACTORS[3], odd ^ text.len() as u64)
}

/// All of at most 16 bytes in two words: its beginning and its end, which overlap.
fn ends(bytes: &[u8]) -> [u64; 2] {
    match bytes {
        [] => [0, 0],
        [.., last] if bytes.len() < 4 => {
            let [first, middle] = [bytes[0], bytes[bytes.len() / 2]];
            [u64::from(first) << 16 | u64::from(middle) << 8 | u64::from(*last), 0]
        }
        _ if bytes.len() < 8 => [half_word(bytes, 0), half_word(bytes, bytes.len() - 4)],
        _ => [word(bytes, 0), word(bytes, bytes.len() - 8)],
    }
}

/// A hash of the two in this order.
pub fn joined(first: u64, second: u64) -> u64 {
    product(first ^ FACTORS[0], second ^ FACTORS[1])
}

/// Both halves of the product, so that every bit of it knows of every bit of the factors.
fn product(one: u64, other: u64) -> u64 {
    let whole = u128::from(one) * u128::from(other);
    whole as u64 ^ (whole >> 64) as u64
}

fn word(bytes: &[u8], from: usize) -> u64 {
    bytes[from..from + 8].try_into().map_or(0, u64::from_le_bytes)
}

fn half_word(bytes: &[u8], from: usize) -> u64 {
    bytes[from..from + 4].try_into().map_or(0, u32::from_le_bytes).into()
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
    use std::collections::HashSet;

    #[test]
    fn digits_are_hexadecimal() {
        assert_eq!(&digits(0x0123_beef), b"0123beef");
    }

    #[test]
    fn every_byte_and_the_length_count() {
        let mut hashes = HashSet::new();
        for length in 0..=3 * BLOCK {
            let text = vec![0; length];
            assert!(hashes.insert(hash(&text)));
            for place in 0..length {
                let mut other = text.clone();
                other[place] = 1;
                assert!(hashes.insert(hash(&other)), "{length} {place}");
            }
        }
    }

    #[test]
    fn the_order_counts() {
        assert_ne!(joined(hash(b"a"), hash(b"b")), joined(hash(b"b"), hash(b"a")));
    }

    /// Whatever texts have in common, a per cent is a per cent: 20,000 of them, of which 200 fall on each, give or take 14.
    #[test]
    fn like_texts_spread_evenly() {
        for before in ["", "Conversation ", &"You are terse. ".repeat(100)] {
            let mut counts = [0_u32; 100];
            for number in 0..20_000 {
                counts[hash(format!("{before}{number}").as_bytes()) as u32 as usize % 100] += 1;
            }
            assert!(counts.iter().all(|count| (130..270).contains(count)), "{counts:?}");
        }
    }
}
