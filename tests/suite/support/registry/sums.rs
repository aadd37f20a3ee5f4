//! What the registry of the tests computes apart from the code under test: digests, and the header of an account.
// The letters of the hash are the standard's.
#![allow(clippy::many_single_char_names)]

/// Returns the value of `Authorization` for a name and a password.
pub(crate) fn basic(username: &str, password: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = "Basic ".to_owned();
    for bytes in format!("{username}:{password}").as_bytes().chunks(3) {
        let group = bytes.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        let group = group << (8 * (3 - bytes.len()));
        for place in 0..4 {
            let digit = DIGITS[(group >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= bytes.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Returns the digest of `bytes` (FIPS 180-4, section 6.2), computed apart from the code under test.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let mut hash: [u32; 8] = std::array::from_fn(|i| root(prime(i), 2));
    let constants: [u32; 64] = std::array::from_fn(|i| root(prime(i), 3));
    let mut message = bytes.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend((bytes.len() as u64 * 8).to_be_bytes());
    for block in message.chunks_exact(64) {
        let mut words = [0_u32; 64];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        for i in 16..64 {
            let (early, late) = (words[i - 15], words[i - 2]);
            let first = early.rotate_right(7) ^ early.rotate_right(18) ^ early >> 3;
            let second = late.rotate_right(17) ^ late.rotate_right(19) ^ late >> 10;
            words[i] = words[i - 16].wrapping_add(first).wrapping_add(words[i - 7]).wrapping_add(second);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = hash;
        for (constant, word) in constants.iter().zip(words) {
            let mix = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let first =
                h.wrapping_add(mix).wrapping_add(e & f ^ !e & g).wrapping_add(*constant).wrapping_add(word);
            let mix = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let second = mix.wrapping_add(a & b ^ a & c ^ b & c);
            (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(first), c, b, a, first.wrapping_add(second));
        }
        for (sum, word) in hash.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *sum = sum.wrapping_add(word);
        }
    }
    hash.iter().fold("sha256:".to_owned(), |text, word| text + &format!("{word:08x}"))
}

fn prime(index: usize) -> u128 {
    (2..)
        .filter(|n: &u128| (2..*n).all(|d: u128| !n.is_multiple_of(d)))
        .nth(index)
        .expect("there are more primes")
}

/// Returns the first 32 bits of the fractional part of a square or cube root.
fn root(of: u128, degree: u32) -> u32 {
    // The largest r with r^degree <= of * 2^(32 * degree), bit by bit.
    let target = of << (32 * degree);
    let mut root = 0_u128;
    for bit in (0..40).rev() {
        let next = root | 1 << bit;
        if next.pow(degree) <= target {
            root = next;
        }
    }
    (root & 0xffff_ffff) as u32
}
